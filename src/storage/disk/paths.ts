import { hash } from 'node:crypto';
import path from 'node:path';

/** Where everything lies below the root. Files lie at their keys; what the adapter needs beside them lies in a reserved folder. */
export class DiskPaths {
  readonly root: string;
  /** Bodies on their way in. On the root's file system, so that a rename can put them in place. */
  readonly temp: string;
  readonly sidecars: string;
  readonly locks: string;
  readonly uploads: string;

  /** `reserved` is a first segment that no key has. */
  constructor(directory: string, reserved: string) {
    this.root = path.resolve(directory);
    this.temp = path.join(this.root, reserved, 'temp');
    this.sidecars = path.join(this.root, reserved, 'meta');
    this.locks = path.join(this.root, reserved, 'locks');
    this.uploads = path.join(this.root, reserved, 'uploads');
  }

  /** The path of a checked key, whose segments can neither climb nor be absolute. */
  file(key: string): string {
    return this.root + path.sep + (path.sep === '/' ? key : key.replaceAll('/', path.sep));
  }

  /** Where one version's facts lie. Hashed, since a segment with a suffix could be too long for a file name. */
  sidecar(key: string, version: number): string {
    const digest = hash('sha1', key, 'hex');
    const name = `${digest.slice(2)}.${version.toString(36)}.json`;
    return this.sidecars + path.sep + digest.slice(0, 2) + path.sep + name;
  }

  lock(key: string): string {
    return path.join(this.locks, hash('sha1', key, 'hex'));
  }

  /** The folders between the root and a path below it, outermost first, without both. */
  foldersAbove(file: string): readonly string[] {
    const folders: string[] = [];
    for (
      let folder = path.dirname(file);
      folder.length > this.root.length;
      folder = path.dirname(folder)
    )
      folders.unshift(folder);
    return folders;
  }
}
