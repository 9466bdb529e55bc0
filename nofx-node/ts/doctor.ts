/** The result of reading a whole store. */
export interface Checkup {
  /** How many records were read. */
  records: number;
  /** How many logs were read. */
  logs: number;
  /** How many entries of logs were read. */
  entries: number;
  /** How many of the findings are about something that cannot be read. */
  damaged: number;
  /** Everything that is wrong. */
  findings: Finding[];
}

/** A problem that was found in a store. */
export interface Finding {
  /** The thing: a file of the store, a record, a log. */
  thing: string;
  /** What is wrong with it. */
  what: string;
  /** Whether something that was stored cannot be read. Otherwise nothing is lost. */
  damage: boolean;
}
