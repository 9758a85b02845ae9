export type { BodyExpectations, FileBody } from './body.ts';
export type {
  ByteRange,
  Checksums,
  DriverFile,
  DriverList,
  DriverPart,
  DriverPut,
  DriverSignedUpload,
  DriverSignedUrl,
  DriverUpload,
  DriverUploads,
  FileFacts,
  FileInfo,
  ListedFile,
  ListedPart,
  ListPage,
  SignedForm,
  SignedPut,
  SignedUpload,
  StorageCapabilities,
  StorageDriver,
  TransferConditions,
  UploadedPart,
  UploadState,
  WriteConditions,
} from './driver.ts';
export { checkKey, maxKeyBytes, maxSegmentBytes, reservedSegment } from './key.ts';
export type {
  FileStorageOptions,
  GetOptions,
  ListOptions,
  PutOptions,
  SignedUploadOptions,
  SignedUrlOptions,
} from './options.ts';
export { FileStorage } from './storage.ts';
export { type Grant, type LocalUrlOptions, UrlSigner } from './signed-url.ts';
export type { StorageReader, StorageWriter } from './roles.ts';
export { StoredFile } from './stored-file.ts';
export { type CreateUploadOptions, type PutPartOptions, Upload } from './upload.ts';
export {
  type UploadIntent,
  UploadIntents,
  uploadIntents,
  type UploadIntentsOptions,
  type UploadWish,
} from './upload-intents.ts';
export {
  type EncryptedCapabilities,
  EncryptedDriver,
  type EncryptedOptions,
  encrypted,
  type EncryptionKey,
} from './layers/encrypted.ts';
export {
  type Fault,
  type FaultyCall,
  faulty,
  FaultyDriver,
  type FaultyOptions,
} from './layers/faulty.ts';
export {
  type MirroredCapabilities,
  mirrored,
  type MirroredOptions,
  MirroredStorage,
  type RepairReport,
} from './layers/mirrored.ts';
export { prefixed, PrefixedDriver } from './layers/prefixed.ts';
export {
  type QuarantinedCapabilities,
  quarantined,
  type QuarantinedOptions,
  QuarantinedStorage,
  type ScanReport,
  type ScanVerdict,
} from './layers/quarantined.ts';
export { readOnly, ReadOnlyDriver } from './layers/read-only.ts';
