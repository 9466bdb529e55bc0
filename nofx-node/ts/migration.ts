/** Options of a migration. */
export interface MigrateOptions {
  /** Read and check everything, but write nothing. */
  dryRun?: boolean;
  /** Whether the store is read back and compared with the folder afterwards. True by default. */
  verify?: boolean;
  /** Stops the migration, which rejects with the signal's reason. What was committed stays, and migrating again continues from there. */
  signal?: AbortSignal;
  /** Gets the progress ten times a second and at the end. */
  onProgress?: (progress: MigrationProgress) => void;
}

/** The progress of a migration's phase. */
export interface MigrationProgress {
  /** `reading`, `writing`, `verifying`, or empty before the first phase. */
  phase: string;
  /** Files that are done. */
  files: number;
  /** Their bytes. */
  bytes: number;
  /** All files of the phase; zero while the number is not known. */
  totalFiles: number;
  /** Their bytes. */
  totalBytes: number;
}

/** The result of a migration. */
export interface MigrationReport {
  /** Whether everything in the folder is in the store. */
  complete: boolean;
  /** Whether any file was damaged; such a file is kept unchanged beside what could be read of it. */
  damaged: boolean;
  /** The number of files. */
  files: number;
  /** Their total size in bytes. */
  bytes: number;
  /** How many of each kind were added, by the plural name of the kind. */
  added: { [kind: string]: number };
  /** Everything unusual. */
  findings: MigrationFinding[];
  /** The whole report, as text for people. */
  text: string;
}

/** Something unusual in a legacy folder. */
export interface MigrationFinding {
  /** Its stable code, as the manual lists it. */
  code: string;
  /** Its severity; `missing` means that something is not in the store. */
  level: 'note' | 'warning' | 'missing';
  /** The file concerned. */
  path: string;
  /** What was found, and what was done about it. */
  message: string;
}
