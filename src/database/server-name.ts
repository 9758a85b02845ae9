/** Where a server's database is. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  /** The path of a socket, in place of host and port. */
  readonly socket?: string | undefined;
  readonly database: string;
}

/** How errors, events and the health name a server's database, such as `db-2.example.com:5432/shop`. */
export function serverName({ host, port, socket, database }: ServerAddress): string {
  return `${socket ?? `${host}:${port}`}/${database}`;
}
