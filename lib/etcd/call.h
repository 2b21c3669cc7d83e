// SPDX-License-Identifier: MIT
//
// One request of the owner, to as many endpoints as it takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "etcd/attempt.h"
#include "etcd/connections.h"
#include "etcd/errors.h"

namespace kvd::etcd {

// A change is under way at one endpoint at most, and goes to the next one only
// when the last has certainly not done it. A read is asked of another endpoint,
// too, when one does not answer for a while: whichever answers first. Thread:
// the EventThread's.
template <typename Request, typename Response>
class Call {
 public:
  using Done = std::function<void(Result<Response>)>;

  struct Options {
    const char* method;
    bool changes;
    int64_t timeout_ms;
  };

  // `done` may destroy the call.
  Call(EventThread& thread, Connections& connections, Options options,
       Request request, Done done)
      : thread_(thread),
        connections_(connections),
        options_(options),
        request_(std::move(request)),
        done_(std::move(done)),
        deadline_ms_(thread.NowMs() + options.timeout_ms) {}
  ~Call() {
    thread_.Cancel(timer_);
    for (const Asked& asked : asked_) asked.attempt->Abandon();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Sends what is to be sent now; to be called once, then it goes on by itself.
  void Step() {
    const int64_t now = thread_.NowMs();
    if (now >= deadline_ms_) return GiveUp();
    BlameTheSilent(now);
    if (MayAsk(now)) AskNext(now);
    thread_.Cancel(timer_);
    timer_ = thread_.After(std::min(deadline_ms_ - now, kStepMs),
                           [this] { Step(); });
  }

 private:
  struct Asked {
    size_t endpoint;
    Attempt<Response>* attempt;
    int64_t since_ms;
    bool blamed;
  };

  // How often it is looked for something to do.
  static constexpr int64_t kStepMs = 20;
  // An endpoint that has not answered for so long is given up on. An election
  // takes one or two seconds, but who asks elsewhere loses nothing.
  static constexpr int64_t kPatienceMs = 1000;
  // All have refused: how long until they are asked again.
  static constexpr int64_t kAgainMs = 100;

  void BlameTheSilent(int64_t now) {
    for (Asked& asked : asked_) {
      if (asked.blamed || now - asked.since_ms < kPatienceMs) continue;
      asked.blamed = true;
      connections_.Blame(asked.endpoint);
    }
  }

  bool MayAsk(int64_t now) const {
    if (now < not_before_ms_) return false;
    if (asked_.empty()) return true;
    return !options_.changes &&
           std::all_of(asked_.begin(), asked_.end(),
                       [](const Asked& asked) { return asked.blamed; });
  }

  void AskNext(int64_t now) {
    const std::optional<size_t> at = connections_.Choose(excluded_);
    if (!at) {
      // Whoever refused may be asked again, a little later.
      if (asked_.empty() && !excluded_.empty()) {
        excluded_.clear();
        not_before_ms_ = now + kAgainMs;
      }
      return;
    }
    excluded_.resize(connections_.size());
    excluded_[*at] = true;
    const Method method{.name = options_.method};
    asked_.push_back({.endpoint = *at,
                      .attempt = nullptr,
                      .since_ms = now,
                      .blamed = false});
    asked_.back().attempt = Attempt<Response>::Start(
        thread_, connections_.channel(*at), method, request_,
        deadline_ms_ - now,
        [this, at = *at](const grpc::Status& status, Response* response) {
          TakeAnswer(at, status, response);
        });
  }

  void TakeAnswer(size_t at, const grpc::Status& status, Response* response) {
    std::erase_if(asked_,
                  [at](const Asked& asked) { return asked.endpoint == at; });
    const Endpoint& endpoint = connections_.endpoint(at);
    if (status.ok()) {
      if (connections_.Accept(at, response->header())) {
        connections_.Praise(at);
        return Finish(std::move(*response));
      }
      // What was changed was changed in a cluster that is not this one.
      if (!options_.changes) return Step();
      return Finish(
          Fail(ErrorCode::kInvalid, "etcd: {}", connections_.Troubles()));
    }
    const Verdict verdict = Judge(status, options_.changes);
    if (!verdict.ask_again && verdict.code != ErrorCode::kTimeout) {
      return Finish(Fail(verdict.code, "etcd at {}: {}", endpoint.name,
                         Explain(endpoint, status)));
    }
    connections_.Blame(at);
    connections_.SetTrouble(at, Explain(endpoint, status));
    if (verdict.ask_again) return Step();
    Finish(Fail(ErrorCode::kTimeout, "etcd at {}: {}", endpoint.name,
                Explain(endpoint, status)));
  }

  void GiveUp() {
    const bool unknown = options_.changes && !asked_.empty();
    BlameTheSilent(thread_.NowMs() + kPatienceMs);
    Finish(Fail(unknown ? ErrorCode::kTimeout : ErrorCode::kUnavailable,
                "etcd has not answered within {} ms ({})", options_.timeout_ms,
                connections_.Troubles()));
  }

  // The last that is done here.
  void Finish(Result<Response> result) {
    const Done done = std::move(done_);
    done(std::move(result));
  }

  EventThread& thread_;
  Connections& connections_;
  const Options options_;
  const Request request_;
  Done done_;
  const int64_t deadline_ms_;
  int64_t not_before_ms_ = 0;
  std::vector<bool> excluded_;  // Endpoints that this round has asked.
  std::vector<Asked> asked_;    // Those that have not answered yet.
  EventThread::TimerId timer_;
};

}  // namespace kvd::etcd
