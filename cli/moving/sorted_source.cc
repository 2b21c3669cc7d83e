// SPDX-License-Identifier: MIT
#include "cli/moving/sorted_source.h"

#include <utility>

namespace kvctl {
namespace {

constexpr size_t kPageBytes = 1 << 20;

}  // namespace

Attempt<bool> SortedSource::Next(std::vector<Record>* page) {
  if (!sorted_) {
    std::vector<Record> read;
    KVD_TRY_ASSIGN(const bool more, source_->Next(&read));
    for (Record& record : read) KVD_TRY(sorter_.Add(std::move(record)));
    if (more) return true;
    KVD_TRY(sorter_.Sort());
    sorted_ = true;
  }
  size_t bytes = 0;
  while (bytes < kPageBytes) {
    Record record;
    KVD_TRY_ASSIGN(const bool found, sorter_.Next(&record));
    if (!found) return !page->empty();
    bytes += BytesOf(record);
    page->push_back(std::move(record));
  }
  return true;
}

}  // namespace kvctl
