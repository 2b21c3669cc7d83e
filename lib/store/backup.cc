// SPDX-License-Identifier: MIT
#include "store/backup.h"

#include "store/background/backup_source.h"

namespace kvd {

Result<std::unique_ptr<Backup>> Backup::Begin(Store& store) {
  BackupSource* const source = store.backups();
  if (source == nullptr) {
    return Fail(ErrorCode::kInvalid,
                "this store's data is elsewhere: back it up there");
  }
  KVD_TRY_ASSIGN(const uint64_t number, source->Begin());
  return std::unique_ptr<Backup>(new Backup(*source, number));
}

Backup::~Backup() {
  if (source_.Check(number_)) source_.End(/*done=*/false);
}

Result<const Manifest*> Backup::Contents() {
  KVD_TRY(source_.Check(number_));
  return source_.manifest();
}

Result<std::optional<std::string>> Backup::Read(uint64_t segment,
                                                uint64_t offset, size_t bytes) {
  KVD_TRY(source_.Check(number_));
  return source_.Read(segment, offset, bytes);
}

void Backup::Finish() {
  if (source_.Check(number_)) source_.End(/*done=*/true);
}

}  // namespace kvd
