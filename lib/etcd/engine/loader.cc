// SPDX-License-Identifier: MIT
#include "etcd/engine/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kvd::etcd {
namespace {

// Keys of one page: few at first, then as many as fill about kPageBytes.
constexpr int64_t kFirstPageKeys = 64;
constexpr int64_t kPageKeysMax = 512;
constexpr int64_t kPageBytes = 4 << 20;
// How long what etcd has refused is not asked for again.
constexpr int64_t kPauseMs = 200;

std::string After(const std::string& key) { return key + '\0'; }

}  // namespace

Loader::Loader(Api& api, const Names& names, int64_t timeout_ms, LogSink log,
               const Clock& clock, StoreCore& core, SharedIndex& index)
    : api_(api),
      names_(names),
      timeout_ms_(timeout_ms),
      log_(std::move(log)),
      clock_(clock),
      core_(core),
      index_(index) {}

Api::Done<RangeResponse> Loader::InThis(
    void (Loader::*then)(Result<RangeResponse>)) {
  return [this, then, number = number_](Result<RangeResponse> answer) {
    if (number == number_) (this->*then)(std::move(answer));
  };
}

bool Loader::TakeLoaded() { return std::exchange(has_news_, false); }

void Loader::Begin() {
  ++number_;
  began_ms_ = NowMs();
  page_keys_ = kFirstPageKeys;
  keys_ = 0;
  RangeRequest request;
  request.key = names_.GenerationPrefix();
  request.range_end = PrefixEnd(request.key);
  api_.Range(std::move(request), timeout_ms_, InThis(&Loader::OnGenerations));
}

void Loader::DoWhatIsDue() {
  if (!due_ms_ || NowMs() < *due_ms_) return;
  due_ms_.reset();
  if (from_) {
    AskPage();
  } else {
    Begin();
  }
}

void Loader::OnGenerations(Result<RangeResponse> answer) {
  if (!answer) return Later(answer.error());
  for (const KeyValue& kv : answer->found) index_.Load(kv);
  index_.set_revision(answer->revision);
  BeginWatch();
  from_ = names_.prefix();
  AskPage();
}

// Not as of one revision, which etcd may compact before all is read: what a
// page has too early or too late is put right by the watch.
void Loader::AskPage() {
  RangeRequest request;
  request.key = *from_;
  request.range_end = PrefixEnd(names_.prefix());
  request.limit = page_keys_;
  api_.Range(std::move(request), timeout_ms_, InThis(&Loader::OnPage));
}

void Loader::OnPage(Result<RangeResponse> page) {
  if (!page) return Later(page.error());
  if (page->more && page->found.empty()) {
    return Later(Error(ErrorCode::kInvalid,
                       "an answer without keys says that there are more"));
  }
  trouble_.clear();
  for (const KeyValue& kv : page->found) index_.Load(kv);
  index_.NoteNewest(page->revision);
  keys_ += page->found.size();
  if (!MayGoOn()) return;
  TakeUpdates();
  if (page->more) {
    ChooseNextPage(*page);
    return AskPage();
  }
  from_.reset();
  loaded_ = was_loaded_ = true;
  has_news_ = true;
}

void Loader::ChooseNextPage(const RangeResponse& page) {
  const auto keys = static_cast<int64_t>(page.found.size());
  int64_t bytes = 1;
  for (const KeyValue& kv : page.found) {
    bytes += static_cast<int64_t>(kv.key.size() + kv.value.size());
  }
  page_keys_ = std::clamp<int64_t>(keys * kPageBytes / bytes, 1,
                                   std::min(kPageKeysMax, 2 * page_keys_));
  from_ = After(page.found.back().key);
}

// A start beyond memory.limit does not. Whoever serves already has taken in
// what others wrote beyond it.
bool Loader::MayGoOn() {
  // What was there before it began anew still counts.
  while (core_.limit.IsOver() && core_.cleared.FreeSlice()) {
  }
  if (!core_.limit.IsOver() || was_loaded_) return true;
  failure_ = Error(
      ErrorCode::kInvalid,
      fmt::format("the first {} keys under \"{}\" take {} MiB with their "
                  "values, and memory.limit is {} MiB: all of them have to be "
                  "in memory. Raise it, or have less in there",
                  keys_, names_.prefix(), core_.databases->memory().all() >> 20,
                  core_.limit.bytes() >> 20));
  return false;
}

void Loader::Later(const Error& why) {
  trouble_ = "waits for etcd: " + why.message();
  log_(Severity::kWarning,
       fmt::format("loading from etcd: {}; trying again", why.message()));
  due_ms_ = NowMs() + kPauseMs;
  if (!from_) return;
  // It may be the page that is too large to come in time.
  page_keys_ = std::max<int64_t>(page_keys_ / 4, 1);
  TakeUpdates();
}

// Behind each page, in this order: a key that the page has may have been
// removed since.
void Loader::TakeUpdates() {
  for (; !updates_.empty(); updates_.pop_front()) {
    index_.Apply(updates_.front());
  }
}

void Loader::BeginWatch() {
  watch_ = api_.StartWatch(
      names_.prefix(), PrefixEnd(names_.prefix()), index_.revision() + 1,
      [this](WatchUpdate update) { updates_.push_back(std::move(update)); },
      [this](const Error& why) {
        // What was told is in order, but what follows is not there any more.
        LoadAnew("the watch on etcd has ended: " + why.message());
      });
}

void Loader::LoadAnew(const std::string& why) {
  if (std::exchange(must_restart_, true)) return;
  log_(Severity::kWarning, why + "; loading all anew");
}

void Loader::Apply() {
  if (must_restart_) return Restart();
  if (!loaded_) return;
  TakeUpdates();
  if (index_.must_reload()) Restart();
}

void Loader::Restart() {
  must_restart_ = false;
  watch_.reset();
  updates_.clear();
  loaded_ = false;
  has_news_ = false;
  from_.reset();
  ++number_;
  index_.Clear();
  // etcd may compact faster than a watch can begin.
  due_ms_ = std::max(NowMs(), began_ms_ + kPauseMs);
}

}  // namespace kvd::etcd
