// SPDX-License-Identifier: MIT
//
// The daemon's life between "the socket is there" and "everything is on disk":
// who connects, when a turn runs, and how it ends.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/exit_code.h"
#include "daemon/loop/connection.h"
#include "daemon/loop/event_loop.h"
#include "daemon/loop/listener.h"
#include "daemon/loop/stop_signals.h"
#include "daemon/loop/turn.h"
#include "daemon/state/server_state.h"

namespace kvd {

// How many clients there may be at a time.
struct ConnectionBounds {
  int64_t clients = 0;  // What the settings ask for, as far as possible.
  // That many more for root and the daemon's own user, so that they can look
  // what is going on: one for each process that has none.
  int64_t reserved = 0;
  // What descriptors allow, beside those that are reserved.
  int64_t possible = std::numeric_limits<int64_t>::max();
};

// Serves while the loop turns, until a signal, SHUTDOWN or a disk fault. All
// references outlive it. Thread: loop.
class Server {
 public:
  // Clients queue until Listen() or Serve(). `bounds` are what limits and
  // descriptors allow.
  Server(EventLoop& loop, LoopWaker& waker, StopSignals& signals, Clock& clock,
         const Config& config, ConnectionBounds bounds,
         std::vector<std::unique_ptr<ListeningSocket>> sockets);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // What CONFIG REWRITE changes; without it there is no such file.
  void set_config_file(std::string path) {
    service_.config_file = std::move(path);
  }

  // Whether there is no store yet, and no stop has begun.
  bool loading() const { return stage_ == Stage::kLoading; }
  // Clients are answered from now on, by commands on data with how far the
  // loading is.
  void Listen();
  void ShowProgress(const LoadProgress& progress) {
    service_.loading.progress = progress;
  }
  // The store is loaded: from now on it is served. Only while loading(). The
  // waker's Wake() is the store's.
  void Serve(Store& store);

  // Runs the loop until the end, or until somebody stops the loop before. At
  // the end the listening sockets are closed, and with kStopped the store, if
  // there was one, has stopped cleanly.
  ExitCode Run();

  // Whether Run() would return now, and what.
  bool ended() const { return stage_ == Stage::kEnded; }
  ExitCode exit_code() const { return exit_code_; }

  // Begins the clean stop; `reason` is for the log.
  void BeginStop(std::string_view reason);

 private:
  enum class Stage {
    kLoading,
    kServing,
    kDraining,  // Stopping: what was read is executed.
    kClosing,   // The store stops.
    kFlushing,  // The last replies go out.
    kFailing,   // After a disk fault the last words go out.
    kLost,      // The data directory is gone: reads go on for a while.
    kEnded,
  };

  void Accept(UniqueFd client);
  bool HasPlaceFor(const Peer& peer) const;
  void Reject(const UniqueFd& client, const Peer& peer);
  void RunTurn();
  void BuryClosed();
  void CloseKilled();
  void Advance();
  void Configure(const Config& config);
  void LookAgainIn(int64_t ms);
  void LookAgain();
  void PauseChanged();
  void ScheduleTick();
  void KeepHouse();
  int64_t LookedOf(int64_t passed_ms) const;
  void CheckFlushes();
  void EndHalfCommands(int64_t passed_ms);
  void NoteFigures();

  void StartStopLimit(int64_t limit_ms);
  void StopLimitReached();

  void StopStore();
  void BeginFlushing(int64_t limit_ms);
  void Fail(const Error& error);
  void ServeReadsOnly(const Error& loss);
  void DisownWithheld();
  void End();

  EventLoop& loop_;
  LoopWaker& waker_;
  StopSignals& signals_;
  const int64_t connections_reserved_;
  const uid_t own_uid_;
  const int64_t housekeeping_ms_;
  Config config_;  // As CONFIG SET has changed it.
  ServerState service_;
  Turn turn_;
  Stage stage_ = Stage::kLoading;
  ExitCode exit_code_ = ExitCode::kStopped;

  std::vector<std::unique_ptr<ListeningSocket>> sockets_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_id_ = 1;

  Timer tick_;
  Timer housekeeping_;
  Timer stop_limit_;
  Timer look_again_;
  bool stop_limit_passed_ = false;
  UvPtr<uv_check_t> check_;

  Seq ticked_seq_ = 0;  // last_seq() and durable_seq() when Tick() was called.
  Seq ticked_durable_seq_ = 0;
  // Time in which kvd looked at clients and disk, which are not to blame for
  // the rest: a long command, or a halt of the process.
  int64_t looked_ms_ = 0;
  int64_t last_look_ms_ = 0;  // Loop time.

  Seq stalled_at_seq_ = 0;        // durable_seq() as of the last look.
  int64_t stalled_since_ms_ = 0;  // In looked_ms_.
  bool stall_logged_ = false;
  struct Counted {
    ServiceStats stats;
    int64_t at_ms = 0;  // Loop time.
  };
  Counted counted_;  // As of the last look.
};

}  // namespace kvd
