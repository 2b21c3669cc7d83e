// SPDX-License-Identifier: MIT
//
// An etcd cluster that a test holds in its hand. It answers as etcd does
// (etcd_state.h), and fails when and how the test, or a seed, says:
//
//  - a request reaches etcd late, perhaps after its sender was told that nobody
//    knows whether it was done; or it never does;
//  - the answer comes late or never, or the connection breaks instead; no
//    endpoint takes the request;
//  - there is no quorum for a while: nothing is done or answered, and what
//    waited is done or lost when there is one again;
//  - a watch lags, or breaks and goes on from what it had told, unless that has
//    been compacted;
//  - there is no space left (NOSPACE);
//  - somebody makes it anew, from a backup.
//
// It checks that its users keep the Api's rules: no Poll() or destruction
// within a callback, no watch that outlives its Api.
//
// What etcd itself promises is never broken: Txns are atomic and have one
// order, reads are linearizable, a watch tells each change once and in order.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "etcd/api.h"
#include "tests/support/etcd_state.h"

namespace kvd::etcd {

// What becomes of one request. Times count from its sending.
struct Fate {
  enum class Answer : uint8_t {
    kTrue,         // etcd's own, once it is done.
    kNone,         // None: kTimeout at the request's timeout.
    kBroken,       // The connection breaks: kTimeout before that.
    kUnavailable,  // No endpoint takes it; it is never done.
  };

  std::optional<int64_t> done_after_ms = 0;  // nullopt: never.
  Answer answer = Answer::kTrue;
  int64_t answer_after_ms = 0;  // kTrue: not before it is done.

  static Fate Answered(int64_t done_after_ms = 0, int64_t answer_after_ms = 0) {
    return {done_after_ms, Answer::kTrue, answer_after_ms};
  }
  static Fate Refused() { return {std::nullopt, Answer::kUnavailable, 0}; }
  static Fate NeverDone() { return {std::nullopt, Answer::kNone, 0}; }
  // With a delay beyond the timeout it is done after that was told.
  static Fate AnswerLost(int64_t done_after_ms = 0) {
    return {done_after_ms, Answer::kNone, 0};
  }
  // kTimeout is told at once, whatever becomes of the request.
  static Fate Broken(std::optional<int64_t> done_after_ms) {
    return {done_after_ms, Answer::kBroken, 0};
  }
};

// How often what goes wrong when a seed decides; all 0: nothing does.
struct Odds {
  // Of each request:
  double refused = 0;
  double never_done = 0;
  double answer_lost = 0;
  double late = 0;    // Its answer is lost, and it is done up to late_ms later.
  double broken = 0;  // Done by then, or up to late_ms later, or never.
  int64_t delay_ms = 0;  // Up to this, each way.
  int64_t late_ms = 0;
  // With each request, of the cluster:
  double quorum_lost = 0;
  double watches_broken = 0;
  double compacted = 0;   // Up to a revision that is still there.
  int64_t outage_ms = 0;  // How long the first two last, at most.
  int64_t watch_lag_ms = 0;
};

// What became of a Txn, for checkers.
struct TxnRecord {
  enum class Told : uint8_t { kNothing, kAnswer, kTimeout, kRefusal };

  std::string client;
  TxnRequest request;
  Told told = Told::kNothing;
  bool done = false;  // By etcd, which refused it or not.
  // If it was done, and not refused:
  bool succeeded = false;
  int64_t revision = 0;
};

// Thread: one, which also has all Apis. Outlives them.
class FakeEtcd {
 public:
  // Time passes by `clock`: what it makes due happens in Run() or any Poll().
  explicit FakeEtcd(const Clock& clock) : clock_(clock) {}
  FakeEtcd(const FakeEtcd&) = delete;
  FakeEtcd& operator=(const FakeEtcd&) = delete;

  // `client` names it in history() and in faults. When it is destroyed, what it
  // has sent goes on its way.
  std::unique_ptr<Api> Connect(std::string client, Wake wake);

  // Lets all happen that is due, in its order, and wakes who gets to know it.
  void Run();
  // How long until the next thing is due; 0 if it is already, nullopt if
  // nothing waits for time to pass.
  std::optional<int64_t> NextDueMs() const;

  // --- Other users of the same etcd; at once and without faults ---

  Result<TxnResponse> Do(const TxnRequest& request);
  void Put(const std::string& key, const std::string& value);
  void Delete(const std::string& key);
  Result<void> Compact(int64_t revision) { return state_.Compact(revision); }
  // Its value now, if there is one.
  std::optional<KeyValue> Get(const std::string& key) const;
  // Also for the quota and the alarm.
  EtcdState& state() { return state_; }
  const EtcdState& state() const { return state_; }

  // --- Faults ---

  // For the next Txn (Range) of the client that has none yet; they queue.
  void NextTxn(const std::string& client, Fate fate);
  void NextRange(const std::string& client, Fate fate);
  // For all requests without such a fate.
  void Misbehave(const Odds& odds, uint64_t seed);
  // Ends what Misbehave() began and what it broke; requests that are late stay
  // so.
  void Behave();

  // Without a quorum requests wait; `keep`: they are done as soon as there is
  // one, else they are lost. Watches break.
  void SetQuorum(bool quorum, bool keep = true);
  // What takes more than that never comes; 0: all does.
  void set_range_bytes_max(size_t bytes) { range_bytes_max_ = bytes; }
  // Changes from now on are told so much later, never out of order.
  void set_watch_lag_ms(int64_t ms) { watch_lag_ms_ = ms; }
  // What is told is held back until it is no longer.
  void HoldWatches(const std::string& client, bool hold);
  // What was under way is gone; they ask again, from where they came to.
  void BreakWatches();
  void ResumeWatches();
  // As it was when `backup` was taken; watches break.
  void PutBack(EtcdState backup);
  // Of the three endpoints, in Status(); requests take no notice of it.
  void SetMember(size_t member, bool up) { members_up_.at(member) = up; }

  // All Txns in the order in which they were sent.
  const std::vector<TxnRecord>& history() const { return history_; }

 private:
  class Client;
  class ClientWatch;
  enum class Kind : uint8_t { kTxn, kRange };
  using Ns = int64_t;
  using Agenda = std::multimap<Ns, Job>;

  // A request under way.
  struct Flight {
    int client = 0;
    Fate fate;
    Ns sent_ns = 0;
    // Has etcd do it; returns what tells its sender.
    std::function<Job()> perform;
    std::function<void(const Error&)> fail;
    std::optional<Agenda::iterator> timeout;
    bool told = false;
    bool over = false;  // Done, or never to be.
  };

  struct Peer {  // One Connect().
    std::string name;
    Wake wake;
    std::deque<Job> ready;  // What its next Poll() runs.
    std::deque<Fate> txn_fates;
    std::deque<Fate> range_fates;
    bool holds_watches = false;
  };

  struct Watcher {
    int client = 0;
    std::string key;
    std::string range_end;
    std::function<void(WatchUpdate)> on_update;
    std::function<void(Error)> on_end;
    int64_t told = 0;       // Everything up to this revision has been.
    bool attached = false;  // Gets changes as they are made.
    bool has_told = false;  // Anything.
    bool misled = false;    // It has told what is not in this history.
    std::deque<std::pair<Ns, WatchUpdate>> pending;  // By when they are due.
  };

  Peer* FindPeer(int client);
  Peer& PeerOf(const std::string& name);

  Ns Now() const { return running_ ? now_ns_ : clock_.MonotonicNs(); }
  Agenda::iterator AtNs(Ns due_ns, Job job);
  Agenda::iterator AfterMs(int64_t ms, Job job);
  // Has the client's next Poll() run it, unless the client is gone.
  void Tell(int client, Job job);

  void SendTxn(int client, TxnRequest request, int64_t timeout_ms,
               Api::Done<TxnResponse> done);
  void SendRange(int client, RangeRequest request, int64_t timeout_ms,
                 Api::Done<RangeResponse> done);
  void Send(Flight flight, int64_t timeout_ms);
  void Arrive(uint64_t flight);
  void Perform(uint64_t flight);
  void Drop(uint64_t flight);
  void TellFlight(uint64_t flight, Job job);
  void FailFlight(uint64_t flight, ErrorCode code, const char* words);
  void ForgetIfOver(uint64_t flight);

  Fate ChooseFate(int client, Kind kind);
  bool IsTooLarge(const RangeRequest& request) const;
  Fate RandomFate();
  void RandomTrouble();
  bool Happens(double odds);
  int64_t UpTo(int64_t most);
  void EndOutage(const std::function<bool()>& keep);

  uint64_t AddWatch(Watcher watcher);
  void RequestProgress(uint64_t watch);
  void Notify(int64_t revision);
  void Attach(uint64_t watch);
  void EndWatch(uint64_t watch, const char* why);
  void QueueRevision(uint64_t watch, int64_t revision);
  void Queue(uint64_t watch, WatchUpdate update);
  void Flush(uint64_t watch);

  std::vector<MemberStatus> Members() const;

  const Clock& clock_;
  EtcdState state_;
  Agenda agenda_;
  Ns now_ns_ = 0;  // Of what happens in Run().
  bool running_ = false;

  std::map<int, Peer> peers_;
  std::map<uint64_t, Flight> flights_;
  std::map<uint64_t, Watcher> watchers_;
  uint64_t next_id_ = 1;

  bool quorum_ = true;
  std::vector<uint64_t> waiting_;  // Flights, for a quorum.
  bool watches_broken_ = false;
  int64_t watch_lag_ms_ = 0;
  size_t range_bytes_max_ = 0;
  std::array<bool, 3> members_up_ = {true, true, true};
  std::optional<Odds> odds_;
  std::mt19937_64 random_;
  std::vector<TxnRecord> history_;
};

}  // namespace kvd::etcd
