// SPDX-License-Identifier: MIT
#include "cli/servers/key_pages.h"

namespace kvctl {
namespace {

constexpr const char* kKeysPerPage = "1000";

}  // namespace

Attempt<KeyPages> KeyPages::Open(Peer* peer) {
  KeyPages pages(peer);
  KVD_TRY_ASSIGN(const auto counts, peer->CountKeys());
  for (const auto& [database, keys] : counts) {
    pages.databases_.push_back(database);
    pages.all_ += keys;
  }
  return pages;
}

Attempt<bool> KeyPages::Next(std::vector<KeyToRead>* keys) {
  keys->clear();
  if (begun_ && cursor_ == "0") {
    ++database_;
    begun_ = false;
  }
  if (database_ == databases_.size()) return false;
  KVD_TRY(peer_->Select(database()));
  KVD_TRY_ASSIGN(std::vector<std::string> names, Scan());
  begun_ = true;
  OtherTypes none;  // kvd has no other ones.
  ServerReader reader(peer_, &none);
  KVD_TRY_ASSIGN(*keys, reader.LookUp(database(), std::move(names)));
  done_ += static_cast<int64_t>(keys->size());
  return true;
}

Attempt<std::vector<std::string>> KeyPages::Scan() {
  KVD_TRY_ASSIGN(kvd::Reply reply,
                 peer_->Call({"SCAN", cursor_, "COUNT", kKeysPerPage}));
  if (reply.elements.size() != 2 || !reply.elements[0].is_text() ||
      !reply.elements[1].is_aggregate()) {
    return Unexpected(peer_->Refusal(reply, "SCAN"));
  }
  cursor_ = reply.elements[0].text;
  std::vector<std::string> keys;
  for (kvd::Reply& key : reply.elements[1].elements) {
    keys.push_back(std::move(key.text));
  }
  return keys;
}

}  // namespace kvctl
