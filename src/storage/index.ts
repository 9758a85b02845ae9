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
export {
  FileStorage,
  type FileStorageOptions,
  type GetOptions,
  type ListOptions,
  type PutOptions,
  type SignedUploadOptions,
  type SignedUrlOptions,
} from './storage.ts';
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
