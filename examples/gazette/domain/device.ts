import type { PushTarget, Repository } from 'underpin/ports';

/** A device that shows a notice of every new article. */
export interface Device {
  /** The SHA-256 of its target, in hex: registering twice keeps one. */
  readonly id: string;
  readonly target: PushTarget;
  readonly registeredAt: Date;
}

/** Where devices are kept. */
export type DeviceRepository = Repository<Device>;
