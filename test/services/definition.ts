import type { ChildProcess } from 'node:child_process';

/** Something that tests need and that is no package of npm. */
export interface ServiceDefinition {
  /** The environment variable that names the service's address, in place of one that is found. */
  readonly variable: string;
  /** The Debian packages that install it; empty when npm brings it. */
  readonly packages: readonly string[];
  /** Whether root alone can install and start it, with `sudo` or without. Default: no. */
  readonly needsRoot?: boolean;
  /**
   * How a person installs it, where neither Debian nor npm has it. Nobody must: tests that need it skip without it, with
   * `REQUIRE_SERVICES=1` too.
   */
  readonly installedByHand?: string;
  /** What remains to be installed after the packages. */
  readonly install?: () => Promise<void>;
  /** Whether the address of the variable leads to it. */
  readonly answers: (address: string) => Promise<boolean>;
  /** Finds what is installed: the absolute path of its main binary; `undefined` when something of it is missing. */
  readonly locate: () => Promise<string | undefined>;
}

/** A service that is a server, of which tests start instances of their own. Its address is a URL with the credentials. */
export interface ServerDefinition extends ServiceDefinition {
  /**
   * Makes what an instance needs, in its folder, which is empty. What it spawns here belongs to the instance, but not to what
   * `kill`, `pause` and `restart` touch.
   */
  readonly prepare: (site: ServerSite) => Promise<PreparedServer>;
  /** The environment of an application that is to use the instance with this address. May make in it what the application needs. */
  readonly forApplication: (address: string) => Promise<Readonly<Record<string, string>>>;
}

/** Where an instance lives. */
export interface ServerSite {
  /** An absolute path, short enough for Unix sockets within it. It goes with the instance. */
  readonly folder: string;
  /** The address that {@link ServiceDefinition.locate} gave. */
  readonly binary: string;
  /** A port of 127.0.0.1 that nobody listens on. */
  readonly freePort: () => Promise<number>;
  /** Starts a process that stays in the foreground, and that ends with the instance. Its output goes to `NAME.log` in the folder. */
  readonly spawn: (
    command: string,
    args: readonly string[],
    options?: SpawnOptions,
  ) => ChildProcess;
  /** Runs a command to its end, and gives what it wrote. Throws with what it complained of when it fails. */
  readonly run: (
    command: string,
    args: readonly string[],
    options?: SpawnOptions,
  ) => Promise<string>;
}

/** How a process is started. */
export interface SpawnOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Runs it as this user, when this process is root's. */
  readonly user?: string;
  readonly cwd?: string;
}

/** An instance that can be started. */
export interface PreparedServer {
  readonly address: string;
  /** Spawns the processes that `kill`, `pause` and `restart` are about. Called again for each restart. */
  readonly launch: () => Promise<void> | void;
  /** Whether it serves requests. Must not wait longer than some seconds. */
  readonly isReady: () => Promise<boolean>;
  /** What remains to be done once it serves for the first time. */
  readonly finish?: () => Promise<void>;
}
