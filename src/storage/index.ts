export type { BodyExpectations, FileBody } from './body.ts';
export type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  FileInfo,
  ListedFile,
  ListPage,
  SignedForm,
  SignedPut,
  SignedUpload,
  StorageCapabilities,
  StorageDriver,
  WriteConditions,
} from './driver.ts';
export { checkKey, maxKeyBytes, maxSegmentBytes, reservedSegment } from './key.ts';
export {
  FileStorage,
  type GetOptions,
  type ListOptions,
  type PutOptions,
  type SignedUploadOptions,
  type SignedUrlOptions,
} from './storage.ts';
export { type Grant, type LocalUrlOptions, UrlSigner } from './signed-url.ts';
export { StoredFile } from './stored-file.ts';
