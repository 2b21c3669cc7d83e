// SPDX-License-Identifier: MIT
#include "store/memory/value_pin.h"

#include <cstddef>
#include <unordered_map>

#include "base/check.h"
#include "store/memory/entry.h"

namespace kvd {
namespace {

struct Pinned {
  size_t pins = 0;
  Entry* left = nullptr;  // The entry, when it has no other owner any more.
};

// One for the process, as the entries' heap is.
std::unordered_map<const Entry*, Pinned>& Table() {
  static auto* table = new std::unordered_map<const Entry*, Pinned>;
  return *table;
}

}  // namespace

ValuePin::ValuePin(const Entry& entry) : entry_(&entry) {
  KVD_CHECK(!entry.is_cold());
  ++Table()[entry_].pins;
  entry.set_pinned(true);
}

ValuePin::~ValuePin() {
  if (entry_ == nullptr) return;
  const auto found = Table().find(entry_);
  if (--found->second.pins > 0) return;
  const EntryPtr left(found->second.left);
  Table().erase(found);
  entry_->set_pinned(false);
}

std::string_view ValuePin::value() const { return entry_->value(); }

void ValuePin::LeaveToPins(Entry* entry) { Table().at(entry).left = entry; }

}  // namespace kvd
