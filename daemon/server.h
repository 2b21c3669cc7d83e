// SPDX-License-Identifier: MIT
//
// The daemon's life between "the socket is there" and "everything is on disk":
// who connects, when a turn runs, and how it ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/connection.h"
#include "daemon/event_loop.h"
#include "daemon/exit_code.h"
#include "daemon/listener.h"
#include "daemon/service.h"
#include "daemon/turn.h"

namespace kvd {

// SIGTERM and SIGINT as events of the loop. From its making on neither ends the
// process by itself. Thread: loop.
class StopSignals {
 public:
  explicit StopSignals(EventLoop& loop);
  // Called for each signal; at once if one has come already.
  void OnSignal(std::function<void(int signal)> on_signal);

 private:
  void Watch(EventLoop& loop, int signal);

  std::function<void(int)> on_signal_;
  int pending_ = 0;
  std::vector<UvPtr<uv_signal_t>> handles_;
};

// Serves while the loop turns, until a signal, SHUTDOWN or a disk fault. All
// references outlive it. Thread: loop.
class Server {
 public:
  // Clients queue until Listen() or Serve(). `connections_max` is what limits
  // and descriptors allow.
  Server(EventLoop& loop, Waker& waker, StopSignals& signals, Clock& clock,
         const Config& config, int64_t connections_max,
         std::vector<std::unique_ptr<ListeningSocket>> sockets);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

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
    kEnded,
  };

  void Accept(UniqueFd client);
  void Reject(const UniqueFd& client);
  void RunTurn();
  void BuryClosed();
  void CloseKilled();
  void Advance();
  void ScheduleTick();
  void KeepHouse();
  void CheckFlushes();
  void EndHalfCommands();

  void StopStore();
  void BeginFlushing(int64_t limit_ms);
  void Fail(const Error& error);
  void End();

  EventLoop& loop_;
  Waker& waker_;
  StopSignals& signals_;
  Service service_;
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
  UvPtr<uv_check_t> check_;

  Seq ticked_seq_ = 0;  // last_seq() and durable_seq() when Tick() was called.
  Seq ticked_durable_seq_ = 0;
  Seq stalled_at_seq_ = 0;  // durable_seq() as of the last look.
  int64_t stalled_since_ms_ = 0;
  bool stall_logged_ = false;
  uint64_t commands_counted_ = 0;
  int64_t counted_at_ms_ = 0;
};

}  // namespace kvd
