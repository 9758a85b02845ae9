/** The tables that are read by query; all others only through their repositories. */
export interface Tables {
  article: { section: string; status: string };
}
