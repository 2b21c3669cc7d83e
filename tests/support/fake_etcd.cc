// SPDX-License-Identifier: MIT
#include "tests/support/fake_etcd.h"

#include <algorithm>

#include "base/check.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

}  // namespace

class FakeEtcd::ClientWatch final : public Watch {
 public:
  ClientWatch(FakeEtcd& etcd, uint64_t id) : etcd_(etcd), id_(id) {}
  ~ClientWatch() override { etcd_.watchers_.erase(id_); }
  void RequestProgress() override { etcd_.RequestProgress(id_); }

 private:
  FakeEtcd& etcd_;
  uint64_t id_;
};

class FakeEtcd::Client final : public Api {
 public:
  Client(FakeEtcd& etcd, int id) : etcd_(etcd), id_(id) {}
  ~Client() override {
    KVD_CHECK(!polls_);
    KVD_CHECK(std::none_of(
        etcd_.watchers_.begin(), etcd_.watchers_.end(),
        [this](const auto& watcher) { return watcher.second.client == id_; }));
    etcd_.peers_.erase(id_);
  }

  void Txn(TxnRequest request, int64_t timeout_ms,
           Done<TxnResponse> done) override {
    etcd_.SendTxn(id_, std::move(request), timeout_ms, std::move(done));
  }

  void Range(RangeRequest request, int64_t timeout_ms,
             Done<RangeResponse> done) override {
    etcd_.SendRange(id_, std::move(request), timeout_ms, std::move(done));
  }

  std::unique_ptr<Watch> StartWatch(
      std::string key, std::string range_end, int64_t from_revision,
      std::function<void(WatchUpdate)> on_update,
      std::function<void(Error)> on_end) override {
    KVD_CHECK(from_revision > 0);
    const uint64_t watch = etcd_.AddWatch({.client = id_,
                                           .key = std::move(key),
                                           .range_end = std::move(range_end),
                                           .on_update = std::move(on_update),
                                           .on_end = std::move(on_end),
                                           .told = from_revision - 1,
                                           .pending = {}});
    return std::make_unique<ClientWatch>(etcd_, watch);
  }

  void Status(int64_t /*timeout_ms*/,
              std::function<void(std::vector<MemberStatus>)> done) override {
    etcd_.Tell(id_, [done = std::move(done), members = etcd_.Members()] {
      done(members);
    });
  }

  void Poll() override {
    KVD_CHECK(!polls_);
    etcd_.Run();
    polls_ = true;
    for (const Job& job : std::exchange(etcd_.FindPeer(id_)->ready, {})) job();
    polls_ = false;
  }

 private:
  FakeEtcd& etcd_;
  int id_;
  bool polls_ = false;
};

std::unique_ptr<Api> FakeEtcd::Connect(std::string client, Wake wake) {
  const int id = static_cast<int>(next_id_++);
  peers_.emplace(id, Peer{std::move(client), std::move(wake), {}, {}, {}});
  return std::make_unique<Client>(*this, id);
}

void FakeEtcd::Run() {
  if (running_) return;
  running_ = true;
  const Ns until_ns = clock_.MonotonicNs();
  while (!agenda_.empty() && agenda_.begin()->first <= until_ns) {
    const auto due = agenda_.extract(agenda_.begin());
    now_ns_ = due.key();
    due.mapped()();
  }
  running_ = false;
}

std::optional<int64_t> FakeEtcd::NextDueMs() const {
  if (agenda_.empty()) return std::nullopt;
  const Ns wait_ns = agenda_.begin()->first - Now();
  return std::max<Ns>(0, (wait_ns + kNsPerMs - 1) / kNsPerMs);
}

// --- Other users -------------------------------------------------------------

Result<TxnResponse> FakeEtcd::Do(const TxnRequest& request) {
  const int64_t before = state_.revision();
  Result<TxnResponse> response = state_.Txn(request);
  if (state_.revision() != before) Notify(state_.revision());
  return response;
}

void FakeEtcd::Put(const std::string& key, const std::string& value) {
  KVD_CHECK(Do({{}, {{Op::Kind::kPut, key, value}}, {}}).ok());
}

void FakeEtcd::Delete(const std::string& key) {
  KVD_CHECK(Do({{}, {{Op::Kind::kDelete, key, ""}}, {}}).ok());
}

std::optional<KeyValue> FakeEtcd::Get(const std::string& key) const {
  const Result<RangeResponse> response = state_.Range({key, "", 0, 0, false});
  KVD_CHECK(response.ok());
  if (response->found.empty()) return std::nullopt;
  return response->found.front();
}

// --- Faults ------------------------------------------------------------------

void FakeEtcd::NextTxn(const std::string& client, Fate fate) {
  PeerOf(client).txn_fates.push_back(fate);
}

void FakeEtcd::NextRange(const std::string& client, Fate fate) {
  PeerOf(client).range_fates.push_back(fate);
}

void FakeEtcd::Misbehave(const Odds& odds, uint64_t seed) {
  odds_ = odds;
  random_.seed(seed);
}

void FakeEtcd::Behave() {
  odds_.reset();
  SetQuorum(true);
  ResumeWatches();
}

void FakeEtcd::SetQuorum(bool quorum, bool keep) {
  if (quorum) {
    EndOutage([keep] { return keep; });
  } else {
    quorum_ = false;
    BreakWatches();
  }
}

void FakeEtcd::EndOutage(const std::function<bool()>& keep) {
  if (quorum_) return;
  quorum_ = true;
  for (const uint64_t flight : std::exchange(waiting_, {})) {
    if (keep()) {
      Perform(flight);
    } else {
      Drop(flight);
    }
  }
  ResumeWatches();
}

void FakeEtcd::HoldWatches(const std::string& client, bool hold) {
  Peer& peer = PeerOf(client);
  peer.holds_watches = hold;
  for (const auto& [id, watcher] : watchers_) {
    if (FindPeer(watcher.client) == &peer) Flush(id);
  }
}

void FakeEtcd::BreakWatches() {
  watches_broken_ = true;
  for (auto& [id, watcher] : watchers_) {
    watcher.attached = false;
    watcher.pending.clear();
  }
}

void FakeEtcd::ResumeWatches() {
  if (!watches_broken_) return;
  watches_broken_ = false;
  for (const auto& [id, watcher] : watchers_) Attach(id);
  Run();
}

void FakeEtcd::PutBack(EtcdState backup) {
  BreakWatches();
  state_ = std::move(backup);
  for (auto& [id, watcher] : watchers_) {
    watcher.misled |= watcher.has_told && watcher.told > state_.revision();
  }
}

bool FakeEtcd::Happens(double odds) {
  constexpr uint64_t kParts = 1'000'000;
  return static_cast<double>(random_() % kParts) < odds * kParts;
}

int64_t FakeEtcd::UpTo(int64_t most) {
  return static_cast<int64_t>(random_() % static_cast<uint64_t>(most + 1));
}

Fate FakeEtcd::ChooseFate(int client, Kind kind) {
  Peer& peer = *FindPeer(client);
  auto& fates = kind == Kind::kTxn ? peer.txn_fates : peer.range_fates;
  if (!fates.empty()) {
    const Fate fate = fates.front();
    fates.pop_front();
    return fate;
  }
  return odds_ ? RandomFate() : Fate::Answered();
}

bool FakeEtcd::IsTooLarge(const RangeRequest& request) const {
  if (range_bytes_max_ == 0) return false;
  const Result<RangeResponse> response = state_.Range(request);
  if (!response) return false;
  size_t bytes = 0;
  for (const KeyValue& kv : response->found) {
    bytes += kv.key.size() + kv.value.size();
  }
  return bytes > range_bytes_max_;
}

Fate FakeEtcd::RandomFate() {
  const int64_t there_ms = UpTo(odds_->delay_ms);
  const int64_t back_ms = UpTo(odds_->delay_ms);
  if (Happens(odds_->refused)) return Fate::Refused();
  if (Happens(odds_->never_done)) return Fate::NeverDone();
  if (Happens(odds_->answer_lost)) return Fate::AnswerLost(there_ms);
  if (Happens(odds_->late)) return Fate::AnswerLost(UpTo(odds_->late_ms));
  if (Happens(odds_->broken)) {
    Fate fate = Fate::Broken(std::nullopt);
    fate.answer_after_ms = back_ms;
    if (Happens(0.5)) fate.done_after_ms = there_ms;
    if (Happens(0.5)) fate.done_after_ms = UpTo(odds_->late_ms);
    return fate;
  }
  return Fate::Answered(there_ms, there_ms + back_ms);
}

void FakeEtcd::RandomTrouble() {
  if (!odds_) return;
  if (quorum_ && Happens(odds_->quorum_lost)) {
    SetQuorum(false);
    AfterMs(UpTo(odds_->outage_ms), [this] {
      if (odds_) EndOutage([this] { return Happens(0.5); });
    });
  }
  if (!watches_broken_ && Happens(odds_->watches_broken)) {
    BreakWatches();
    AfterMs(UpTo(odds_->outage_ms), [this] {
      if (quorum_) ResumeWatches();
    });
  }
  if (Happens(odds_->compacted)) {
    const int64_t kept = state_.revision() - state_.compact_revision();
    const auto compacted = Compact(state_.compact_revision() + UpTo(kept));
    static_cast<void>(compacted);  // Nothing to compact is no trouble.
  }
}

// --- Clients and time --------------------------------------------------------

FakeEtcd::Peer* FakeEtcd::FindPeer(int client) {
  const auto found = peers_.find(client);
  return found == peers_.end() ? nullptr : &found->second;
}

FakeEtcd::Peer& FakeEtcd::PeerOf(const std::string& name) {
  const auto newest =
      std::find_if(peers_.rbegin(), peers_.rend(),
                   [&](const auto& peer) { return peer.second.name == name; });
  KVD_CHECK(newest != peers_.rend());
  return newest->second;
}

FakeEtcd::Agenda::iterator FakeEtcd::AtNs(Ns due_ns, Job job) {
  return agenda_.emplace(due_ns, std::move(job));
}

FakeEtcd::Agenda::iterator FakeEtcd::AfterMs(int64_t ms, Job job) {
  return AtNs(Now() + ms * kNsPerMs, std::move(job));
}

void FakeEtcd::Tell(int client, Job job) {
  Peer* peer = FindPeer(client);
  if (peer == nullptr) return;
  peer->ready.push_back(std::move(job));
  peer->wake();
}

// --- Requests ----------------------------------------------------------------

void FakeEtcd::SendTxn(int client, TxnRequest request, int64_t timeout_ms,
                       Api::Done<TxnResponse> done) {
  const size_t record = history_.size();
  history_.push_back({FindPeer(client)->name, std::move(request)});
  Flight flight;
  flight.client = client;
  flight.fate = ChooseFate(client, Kind::kTxn);
  flight.perform = [this, record, done]() -> Job {
    const Result<TxnResponse> response = Do(history_[record].request);
    history_[record].done = true;
    if (response.ok()) {
      history_[record].succeeded = response->succeeded;
      history_[record].revision = response->revision;
    }
    return [this, record, done, response] {
      history_[record].told =
          response.ok() ? TxnRecord::Told::kAnswer : TxnRecord::Told::kRefusal;
      done(response);
    };
  };
  flight.fail = [this, record, done = std::move(done)](const Error& error) {
    history_[record].told = error.code() == ErrorCode::kTimeout
                                ? TxnRecord::Told::kTimeout
                                : TxnRecord::Told::kRefusal;
    done(Unexpected(error));
  };
  Send(std::move(flight), timeout_ms);
}

void FakeEtcd::SendRange(int client, RangeRequest request, int64_t timeout_ms,
                         Api::Done<RangeResponse> done) {
  Flight flight;
  flight.client = client;
  flight.fate = ChooseFate(client, Kind::kRange);
  if (IsTooLarge(request)) flight.fate = Fate::NeverDone();
  flight.perform = [this, request = std::move(request), done]() -> Job {
    return [done, response = state_.Range(request)] { done(response); };
  };
  flight.fail = [done = std::move(done)](const Error& error) {
    done(Unexpected(error));
  };
  Send(std::move(flight), timeout_ms);
}

void FakeEtcd::Send(Flight flight, int64_t timeout_ms) {
  Run();  // What was due before.
  RandomTrouble();
  const uint64_t id = next_id_++;
  const Fate fate = flight.fate;
  flight.sent_ns = Now();
  flight.over = !fate.done_after_ms.has_value();
  flight.timeout = AfterMs(timeout_ms, [this, id] {
    flights_.at(id).timeout.reset();  // It is happening.
    FailFlight(id, ErrorCode::kTimeout, "etcd did not answer in time");
  });
  flights_.emplace(id, std::move(flight));

  if (fate.done_after_ms) {
    AfterMs(*fate.done_after_ms, [this, id] { Arrive(id); });
  }
  if (fate.answer == Fate::Answer::kUnavailable) {
    AfterMs(fate.answer_after_ms, [this, id] {
      FailFlight(id, ErrorCode::kUnavailable, "no endpoint took the request");
    });
  } else if (fate.answer == Fate::Answer::kBroken) {
    AfterMs(fate.answer_after_ms, [this, id] {
      FailFlight(id, ErrorCode::kTimeout, "the connection to etcd broke");
    });
  }
  Run();
}

void FakeEtcd::Arrive(uint64_t flight) {
  if (quorum_) {
    Perform(flight);
  } else {
    waiting_.push_back(flight);
  }
}

void FakeEtcd::Perform(uint64_t id) {
  Flight& flight = flights_.at(id);
  Job answer = flight.perform();
  flight.over = true;
  if (flight.fate.answer == Fate::Answer::kTrue && !flight.told) {
    const Ns due_ns = flight.sent_ns + flight.fate.answer_after_ms * kNsPerMs;
    AtNs(std::max(due_ns, Now()),
         [this, id, answer = std::move(answer)] { TellFlight(id, answer); });
  }
  ForgetIfOver(id);
}

void FakeEtcd::Drop(uint64_t flight) {
  flights_.at(flight).over = true;
  ForgetIfOver(flight);
}

void FakeEtcd::TellFlight(uint64_t id, Job job) {
  const auto found = flights_.find(id);
  if (found == flights_.end() || found->second.told) return;
  Flight& flight = found->second;
  flight.told = true;
  if (flight.timeout) agenda_.erase(*flight.timeout);
  Tell(flight.client, std::move(job));
  ForgetIfOver(id);
}

void FakeEtcd::FailFlight(uint64_t id, ErrorCode code, const char* words) {
  const auto found = flights_.find(id);
  if (found == flights_.end()) return;
  TellFlight(id, [fail = found->second.fail, error = Error(code, words)] {
    fail(error);
  });
}

void FakeEtcd::ForgetIfOver(uint64_t flight) {
  const auto found = flights_.find(flight);
  if (found->second.told && found->second.over) flights_.erase(found);
}

// --- Watches -----------------------------------------------------------------

uint64_t FakeEtcd::AddWatch(Watcher watcher) {
  Run();
  const uint64_t id = next_id_++;
  watchers_.emplace(id, std::move(watcher));
  if (!watches_broken_) Attach(id);
  Run();
  return id;
}

void FakeEtcd::RequestProgress(uint64_t watch) {
  const auto found = watchers_.find(watch);
  if (found == watchers_.end() || !found->second.attached) return;
  const auto& pending = found->second.pending;
  Queue(watch, {{},
                pending.empty() ? found->second.told
                                : pending.back().second.revision});
  Run();
}

void FakeEtcd::Attach(uint64_t id) {
  Watcher& watcher = watchers_.at(id);
  const int64_t from = watcher.told + 1;
  if (watcher.misled) return EndWatch(id, "etcd had other changes before");
  // What that revision removed may be gone, too.
  if (from <= state_.compact_revision()) {
    return EndWatch(id,
                    "etcdserver: mvcc: required revision has been compacted");
  }
  watcher.attached = true;
  const auto& history = state_.history();
  for (auto it = history.lower_bound(from); it != history.end(); ++it) {
    QueueRevision(id, it->first);
  }
}

void FakeEtcd::EndWatch(uint64_t id, const char* why) {
  Tell(watchers_.at(id).client, [this, id, why] {
    const auto ended = watchers_.extract(id);
    if (ended.empty()) return;
    ended.mapped().on_end(Error(ErrorCode::kCompacted, why));
  });
}

void FakeEtcd::Notify(int64_t revision) {
  for (const auto& [id, watcher] : watchers_) {
    if (!watcher.attached || watcher.told >= revision) continue;
    QueueRevision(id, revision);
  }
  Run();
}

void FakeEtcd::QueueRevision(uint64_t watch, int64_t revision) {
  const Watcher& watcher = watchers_.at(watch);
  WatchUpdate update;
  update.revision = revision;
  for (const auto& event : state_.history().at(revision)) {
    if (InRange(event.kv.key, watcher.key, watcher.range_end)) {
      update.events.push_back(event);
    }
  }
  if (!update.events.empty()) Queue(watch, std::move(update));
}

void FakeEtcd::Queue(uint64_t id, WatchUpdate update) {
  Watcher& watcher = watchers_.at(id);
  auto& pending = watcher.pending;
  const int64_t lag_ms = odds_ ? UpTo(odds_->watch_lag_ms) : watch_lag_ms_;
  Ns due_ns = Now() + lag_ms * kNsPerMs;
  if (!pending.empty()) due_ns = std::max(due_ns, pending.back().first);
  // etcd may tell several revisions together.
  if (odds_ && !pending.empty() && !update.events.empty() && Happens(0.5)) {
    auto& [last_due_ns, last] = pending.back();
    last_due_ns = due_ns;
    last.revision = update.revision;
    std::move(update.events.begin(), update.events.end(),
              std::back_inserter(last.events));
  } else {
    pending.emplace_back(due_ns, std::move(update));
  }
  AtNs(due_ns, [this, id] { Flush(id); });
}

void FakeEtcd::Flush(uint64_t id) {
  const auto found = watchers_.find(id);
  if (found == watchers_.end()) return;
  Watcher& watcher = found->second;
  const Peer* peer = FindPeer(watcher.client);
  if (peer == nullptr || peer->holds_watches) return;
  auto& pending = watcher.pending;
  while (!pending.empty() && pending.front().first <= Now()) {
    WatchUpdate update = std::move(pending.front().second);
    pending.pop_front();
    watcher.told = update.revision;
    watcher.has_told = true;
    Tell(watcher.client, [this, id, update = std::move(update)] {
      const auto told = watchers_.find(id);
      if (told == watchers_.end()) return;
      const auto on_update = told->second.on_update;  // It may end the watch.
      on_update(update);
    });
  }
}

std::vector<MemberStatus> FakeEtcd::Members() const {
  std::vector<MemberStatus> members;
  uint64_t leader = 0;
  for (size_t i = 0; i < members_up_.size(); ++i) {
    MemberStatus& member = members.emplace_back();
    member.endpoint = fmt::format("http://fake-{}:2379", i + 1);
    if (!members_up_[i]) {
      member.error = "connection refused";
      continue;
    }
    if (quorum_ && leader == 0) leader = i + 1;
    member.version = "3.4.23";
    member.member_id = i + 1;
    member.revision = state_.revision();
    member.raft_index = static_cast<uint64_t>(state_.revision());
    member.db_size_bytes = state_.size_bytes();
    member.db_size_in_use_bytes = state_.size_in_use_bytes();
    if (state_.no_space()) member.alarms.emplace_back("NOSPACE");
  }
  for (MemberStatus& member : members) {
    if (member.error.empty()) member.leader_id = leader;
  }
  return members;
}

}  // namespace kvd::etcd
