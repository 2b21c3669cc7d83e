// SPDX-License-Identifier: MIT
//
// What kvd asks of etcd, and nothing more: the seam between the engine and the
// wire. Tests put an etcd in its place that answers late, twice or never.
//
// Source of names and meanings: etcd's API, version 3
// (etcdserverpb: rpc.proto, mvccpb: kv.proto).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvd::etcd {

// One of etcd's key-value pairs. Revisions count the changes of the whole
// cluster, from 1.
struct KeyValue {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
};

// A condition of a transaction: equality.
struct Compare {
  enum class Target : uint8_t {
    kModRevision,  // Of the key, 0 while there is none.
    kValue,        // Of the key; unequal while there is none.
  };
  std::string key;
  Target target = Target::kModRevision;
  int64_t mod_revision = 0;
  std::string value;
};

// One operation of a transaction. No two of one branch change the same key.
struct Op {
  enum class Kind : uint8_t { kPut, kDelete, kGet };
  Kind kind = Kind::kPut;
  std::string key;  // Exactly this one.
  std::string value;
};

struct TxnRequest {
  std::vector<Compare> compares;  // All have to hold …
  std::vector<Op> then;           // … for these to be done …
  std::vector<Op> otherwise;      // … instead of these.
};

struct TxnResponse {
  bool succeeded = false;
  // Of the cluster behind it: that of its changes, if it made any.
  int64_t revision = 0;
  // What the kGets of the branch found, in order; absent keys are left out.
  std::vector<KeyValue> found;
};

struct RangeRequest {
  std::string key;
  std::string range_end;  // Empty: the one key. Else [key, range_end).
  int64_t limit = 0;      // 0 for none.
  int64_t revision = 0;   // As of that one; 0: of now, linearizable.
  bool keys_only = false;
};

struct RangeResponse {
  int64_t revision = 0;         // Of the cluster.
  std::vector<KeyValue> found;  // In the order of keys.
  bool more = false;            // Than the limit.
};

// A change that a watch has seen.
struct Event {
  bool is_delete = false;
  KeyValue kv;  // Of a removal: key and mod_revision alone.
};

// What a watch tells. All changes of one revision come in one of these, and
// revisions in their order.
struct WatchUpdate {
  std::vector<Event> events;
  // Everything of the watched keys up to this revision has been told. Without
  // events: the answer to RequestProgress(), or etcd's own word from time to
  // time. The answer may be older than the request: before 3.4.25 and 3.5.8
  // etcd's own answer can overtake events, so that only what has been told
  // counts. To be sure of a revision, wait for its event.
  int64_t revision = 0;
};

// One node, as far as it answers.
struct MemberStatus {
  std::string endpoint;
  std::string error;  // Why it did not answer; the rest means nothing then.
  std::string version;
  uint64_t member_id = 0;
  uint64_t leader_id = 0;
  bool is_learner = false;  // It does not vote, and takes no requests.
  int64_t revision = 0;
  uint64_t raft_index = 0;
  int64_t db_size_bytes = 0;
  int64_t db_size_in_use_bytes = 0;
  int64_t db_quota_bytes = 0;       // 0: it does not say (before 3.6).
  std::vector<std::string> alarms;  // "NOSPACE", "CORRUPT".
};

// How a request ended without an answer. Error::code() says which:
//   kUnavailable  it was not done, and will not be: no endpoint took it;
//   kTimeout      nobody knows whether it was done;
//   kInvalid      etcd refused it: its words are in the message;
//   kResources    etcd has no space left (NOSPACE). It was not done, or it was,
//                 and the space ended with it: a read that follows tells.
// A revision that etcd has compacted is kCompacted.

class Watch {
 public:
  // Ends it; nothing is called after that. May run in a callback; must have run
  // before the Api is destroyed.
  virtual ~Watch() = default;
  // Asks how far the watch is: an update without events says so.
  virtual void RequestProgress() = 0;
};

// Thread: its owner's. Callbacks run in Poll(), in the order in which the
// answers came, and never within the call that asked. Requests are sent at
// once, and may be under way together. The destructor, which must not run in a
// callback, gives up what is under way: nothing more is called.
class Api {
 public:
  virtual ~Api() = default;

  template <typename Response>
  using Done = std::function<void(Result<Response>)>;

  // Waits `timeout_ms` for the answer, or for an endpoint that takes it. A Txn
  // is sent again only when it is certain that it was not done: never twice.
  virtual void Txn(TxnRequest request, int64_t timeout_ms,
                   Done<TxnResponse> done) = 0;
  // Another endpoint is asked when one fails.
  virtual void Range(RangeRequest request, int64_t timeout_ms,
                     Done<RangeResponse> done) = 0;

  // All changes of [key, range_end) from `from_revision` (1 or more) on. When
  // the endpoint fails, or has lost its leader, another one is asked from where
  // this one came to: no change is left out or told twice. `on_end`: it cannot
  // go on, as that revision has been compacted or is another one in an etcd
  // that was made anew (both kCompacted), or etcd refuses the watch.
  virtual std::unique_ptr<Watch> StartWatch(
      std::string key, std::string range_end, int64_t from_revision,
      std::function<void(WatchUpdate)> on_update,
      std::function<void(Error)> on_end) = 0;

  // Asks all endpoints; those that do not answer are there, too.
  virtual void Status(int64_t timeout_ms,
                      std::function<void(std::vector<MemberStatus>)> done) = 0;

  // Runs the callbacks of what has come since the last call. To be called when
  // the Wake it was made with says so.
  virtual void Poll() = 0;
};

// The end of the range of all keys that begin so: for RangeRequest and watch.
std::string PrefixEnd(std::string_view prefix);

}  // namespace kvd::etcd
