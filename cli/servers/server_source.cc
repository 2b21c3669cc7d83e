// SPDX-License-Identifier: MIT
#include "cli/servers/server_source.h"

#include <algorithm>
#include <span>

#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Reply;

constexpr const char* kKeysPerPage = "1000";
// Values that are read at once.
constexpr int64_t kBatchBytes = 4 << 20;

}  // namespace

Attempt<std::unique_ptr<ServerSource>> ServerSource::Open(
    Peer* peer, const KeySelection& selection, OtherTypes* others) {
  std::unique_ptr<ServerSource> source(
      new ServerSource(peer, selection, others));
  // A pattern that the server refuses is refused before anything is written.
  KVD_TRY(peer->Select(selection.database.value_or(0)));
  KVD_TRY(source->Scan("1"));
  source->cursor_ = "0";
  source->ended_ = false;

  KVD_TRY_ASSIGN(source->run_id_, peer->RunId());
  KVD_TRY_ASSIGN(const auto counts, peer->CountKeys());
  for (const auto& [database, keys] : counts) {
    if (selection.database.value_or(database) == database) {
      source->databases_.emplace_back(database, keys);
    }
  }
  return source;
}

bool ServerSource::has_databases() const {
  if (selection_.database || databases_.empty()) return false;
  return databases_.size() > 1 || databases_[0].first != 0;
}

Attempt<bool> ServerSource::Next(std::vector<Record>* page) {
  while (CanPause()) {
    if (database_ == databases_.size()) return false;
    if (ended_) {
      ++database_;
      cursor_ = "0";
      ended_ = false;
      continue;
    }
    const int64_t database = databases_[database_].first;
    KVD_TRY(peer_.Select(database));
    KVD_TRY_ASSIGN(std::vector<std::string> keys, Scan(kKeysPerPage));
    KVD_TRY_ASSIGN(keys_, reader_.LookUp(database, std::move(keys)));
    next_key_ = 0;
  }
  const size_t begin = next_key_;
  int64_t bytes = 0;
  while (next_key_ < keys_.size() && bytes < kBatchBytes) {
    const int64_t size = keys_[next_key_].size;
    // A large value comes alone.
    if (bytes > 0 && bytes + size > kBatchBytes) break;
    bytes += size;
    ++next_key_;
  }
  keys_done_ += static_cast<int64_t>(next_key_ - begin);
  KVD_TRY(reader_.Read(databases_[database_].first,
                       std::span(keys_).subspan(begin, next_key_ - begin),
                       page));
  return true;
}

// The keys of the next page of the current database.
Attempt<std::vector<std::string>> ServerSource::Scan(const char* count) {
  KVD_TRY_ASSIGN(Reply reply, peer_.Call({"SCAN", cursor_, "MATCH",
                                          selection_.pattern, "COUNT", count}));
  if (reply.elements.size() != 2 || !reply.elements[0].is_text() ||
      !reply.elements[1].is_aggregate()) {
    return Unexpected(peer_.Refusal(reply, "SCAN"));
  }
  cursor_ = reply.elements[0].text;
  ended_ = cursor_ == "0";
  std::vector<std::string> keys;
  for (Reply& key : reply.elements[1].elements) {
    keys.push_back(std::move(key.text));
  }
  return keys;
}

RecordSource::Progress ServerSource::progress() const {
  int64_t all = 0;
  for (const auto& [database, keys] : databases_) all += keys;
  // Of those that match nobody knows how many there are.
  return {.done = keys_done_, .all = selection_.pattern == "*" ? all : 0};
}

void ServerSource::Save(Checkpoint* checkpoint) const {
  const bool at_end = database_ == databases_.size();
  checkpoint->run_id = run_id_;
  checkpoint->database = at_end ? -1 : databases_[database_].first;
  checkpoint->cursor = ended_ ? "end" : cursor_;
}

Attempt<void> ServerSource::Resume(const Checkpoint& checkpoint) {
  if (checkpoint.run_id != run_id_) {
    return Refuse(ExitCode::kUsage,
                  "{} was started anew since this was interrupted, so nobody "
                  "knows which keys are left"
                  "\n  Remove the state file to begin anew",
                  peer_.name());
  }
  // Databases that are empty now count as done.
  const auto found = std::ranges::find_if(databases_, [&](const auto& one) {
    return one.first >= checkpoint.database;
  });
  database_ = checkpoint.database < 0
                  ? databases_.size()
                  : static_cast<size_t>(found - databases_.begin());
  const bool same =
      found != databases_.end() && found->first == checkpoint.database;
  ended_ = same && checkpoint.cursor == "end";
  cursor_ = same && !ended_ ? checkpoint.cursor : "0";
  keys_done_ = checkpoint.records;
  return {};
}

}  // namespace kvctl
