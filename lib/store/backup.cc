// SPDX-License-Identifier: MIT
#include "store/backup.h"

#include "store/store_impl.h"

namespace kvd {

Result<std::unique_ptr<Backup>> Backup::Begin(Store& store) {
  KVD_TRY_ASSIGN(const uint64_t number, store.impl_->backups.Begin());
  return std::unique_ptr<Backup>(new Backup(*store.impl_, number));
}

Backup::~Backup() {
  if (store_.backups.Check(number_)) store_.backups.End(/*done=*/false);
}

Result<const Manifest*> Backup::Contents() {
  KVD_TRY(store_.backups.Check(number_));
  return store_.backups.manifest();
}

Result<std::optional<std::string>> Backup::Read(uint64_t segment,
                                                uint64_t offset, size_t bytes) {
  KVD_TRY(store_.backups.Check(number_));
  return store_.backups.Read(segment, offset, bytes);
}

void Backup::Finish() {
  if (store_.backups.Check(number_)) store_.backups.End(/*done=*/true);
}

}  // namespace kvd
