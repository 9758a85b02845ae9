import { statfs } from 'node:fs/promises';

import { errorOf } from './change-errors.ts';
import { ChangeThread } from './change-thread.ts';
import { type Change, Changes, type ChangesOptions, type Placed } from './changes.ts';
import { Pace } from './pace.ts';

// By the numbers of Linux (statfs(2)): ext2 to ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS and bcachefs. On others, such as those of
// a network, a call may take any time.
const localFileSystems: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/**
 * Makes the changes of a tree, one after another: at once where that takes no longer than to hand them over, which is where a local
 * disk is quick, and else in a thread.
 */
export class ChangeMaker {
  readonly #options: ChangesOptions;
  readonly #changes: Changes;
  readonly #thread: ChangeThread;
  readonly #pace = new Pace();
  #isLocal = false;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#changes = new Changes(options);
    this.#thread = new ChangeThread(options);
  }

  /** Looks where the tree lies, once its folders are there. */
  async start(): Promise<void> {
    if (process.platform !== 'linux') return;
    this.#isLocal = localFileSystems.has((await statfs(this.#options.directory)).type);
  }

  /** Throws a {@link StorageFault} for what is refused, and the operating system's own errors. */
  async make(change: Change): Promise<Placed> {
    if (this.#mayBlock()) return this.#makeAtOnce(change);
    return await this.#thread.make(change, this.#changes.latest);
  }

  /** Ends once all changes under way are made. */
  async close(): Promise<void> {
    await this.#thread.close();
  }

  // Never past those that the thread still has to make, and never where the disk itself is waited for.
  #mayBlock(): boolean {
    return this.#isLocal && !this.#options.sync && this.#thread.isIdle && this.#pace.mayBlock();
  }

  #makeAtOnce(change: Change): Placed {
    try {
      return this.#pace.run(() => this.#changes.make(change, this.#thread.latest));
    } catch (error) {
      throw errorOf(error);
    }
  }
}
