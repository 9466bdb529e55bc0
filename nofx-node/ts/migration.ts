/** How to migrate. */
export interface MigrateOptions {
  /** Reads and judges everything, and writes nothing. */
  dryRun?: boolean;
  /** Whether the store is read back and compared with the folder afterwards. It is. */
  verify?: boolean;
  /** Stops the migration and rejects with its reason. What was committed stays, and migrating again goes on from there. */
  signal?: AbortSignal;
  /** Is told how far the migration is, ten times a second and at the end. */
  onProgress?: (progress: MigrationProgress) => void;
}

/** How far a phase of a migration is. */
export interface MigrationProgress {
  /** `reading`, `writing`, `verifying`, or nothing before the first. */
  phase: string;
  /** Files that are done. */
  files: number;
  /** Their bytes. */
  bytes: number;
  /** All files of the phase; zero while that is not known. */
  totalFiles: number;
  /** Their bytes. */
  totalBytes: number;
}

/** What a migration did. */
export interface MigrationReport {
  /** Whether everything that is in the folder is in the store. */
  complete: boolean;
  /** Whether some file was damaged; it is kept as it is beside what could be read of it. */
  damaged: boolean;
  /** How many files there are. */
  files: number;
  /** How many bytes they have. */
  bytes: number;
  /** How many of each kind of thing were added, by its name in the plural. */
  added: { [kind: string]: number };
  /** Everything out of the ordinary. */
  findings: MigrationFinding[];
  /** The whole report, for people. */
  text: string;
}

/** Something out of the ordinary in a legacy folder. */
export interface MigrationFinding {
  /** Its stable name, as the manual lists it. */
  code: string;
  /** How grave it is; `missing` means that something is not in the store. */
  level: 'note' | 'warning' | 'missing';
  /** The file concerned. */
  path: string;
  /** What was found, and what was done about it. */
  message: string;
}
