import type { FileStorage, JobQueue, Mailer, PushNotification, PushSender } from 'underpin/ports';

import type { ArticleRepository } from '../domain/article-repository.ts';
import type { Article } from '../domain/article.ts';
import type { DeviceRepository } from '../domain/device.ts';
import type { SubscriberRepository } from '../domain/subscriber.ts';

/** Makes what is done inside one call take effect together, or not at all. A `Database` is one. */
export interface UnitOfWork {
  transaction<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Runs `callback` once what is under way has taken effect; at once when nothing is. */
  afterCommit(callback: () => void | Promise<void>): Promise<void>;
}

/** A picture's bytes with what a page must know of them. */
export interface PictureFile {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly width: number;
  readonly height: number;
}

/** What can be done to pictures. */
export interface PictureDesk {
  /**
   * Makes an upload fit to print: upright, without what cameras write beside the picture (such as the place), no larger than a
   * page needs. Throws a `BrokenRule` for what is no picture, or too large to open.
   */
  prepare(upload: Uint8Array): Promise<PictureFile>;
  /** Draws a cover; the same title always gives the same one. */
  cover(title: string): PictureFile;
  /** A smaller copy, `width` pixels wide. */
  thumbnail(original: Uint8Array, width: number): Promise<PictureFile>;
}

/** What a mail says. */
export interface Letter {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** Writes the mail about an article. */
export type ComposeLetter = (
  article: Article,
  links: { readonly article: string; readonly unsubscribe: string },
) => Letter;

/** Writes the notice of an article that is read at `url`. */
export type ComposeNotice = (article: Article, url: string) => PushNotification;

/** Rendered pages, kept until what they show changes. */
export interface PageCache {
  /** Gives the page that is kept under this key, or renders it. */
  getOrRender(key: string, tags: readonly string[], render: () => Promise<string>): Promise<string>;
  /** Drops every page that has one of these tags, also one that is being rendered at this moment. */
  drop(tags: readonly string[]): Promise<void>;
}

/** Everything that the use cases work with. */
export interface Newsroom {
  readonly articles: ArticleRepository;
  readonly subscribers: SubscriberRepository;
  readonly devices: DeviceRepository;
  readonly unitOfWork: UnitOfWork;
  readonly files: FileStorage;
  readonly pages: PageCache;
  readonly queue: JobQueue;
  readonly mailer: Mailer;
  /** From whom mails are. */
  readonly sender: string;
  readonly push: PushSender;
  readonly pictures: PictureDesk;
  readonly composeLetter: ComposeLetter;
  readonly composeNotice: ComposeNotice;
  /** The address of the newspaper for links in mails, without a slash at its end. */
  readonly siteUrl: () => string;
  readonly now: () => Date;
}
