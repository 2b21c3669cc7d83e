// SPDX-License-Identifier: MIT
//
// One turn of the loop: replies that waited for the disk are sent, commands
// that arrived are executed in the order of arrival, replies that need not wait
// are sent, and the open commit group is given to the disk. The more arrives in
// a turn, the more commands share one flush. A turn has limits, though: what
// exceeds them is left for the next one, which runs connections with little
// input first.
#pragma once

#include <uv.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/commands/dispatch.h"
#include "daemon/loop/busy_poll.h"
#include "daemon/loop/connection.h"
#include "daemon/loop/event_loop.h"
#include "daemon/loop/keys_ahead.h"
#include "daemon/loop/messages.h"
#include "daemon/loop/open_batch.h"
#include "daemon/loop/parking.h"
#include "daemon/loop/reply_times.h"
#include "daemon/loop/uv_ptr.h"
#include "daemon/state/server_state.h"

namespace kvd {

// Borrows connections: one that has closed lives until TakeClosed() gave it
// out. Thread: loop.
class Turn final : public ConnectionListener {
 public:
  Turn(EventLoop& loop, ServerState& service);

  // The connection may have commands to execute.
  void Ready(Connection& connection);
  // The connection may have something to send.
  void NeedsFlush(Connection& connection);
  // The store has news.
  void Woken() { woken_ = true; }
  // Commands that wait for room, news or the end of a pause run again.
  void LookAgain() { look_again_ = true; }
  // Whether the connection sees what all do. One that does not read it is
  // closed at limits.output_bytes.
  void SetMonitor(Connection& connection, bool monitors);

  void Arrived(Connection& connection) override { Ready(connection); }
  void Drained(Connection& connection) override { NeedsFlush(connection); }
  void GotMessage(Connection& connection, size_t bytes) override;
  void Closed(Connection& connection) override {
    closed_.push_back(&connection);
  }

  // The turn. After it the owner looks at store.failure() and stopped().
  void Run();
  // Now and then, whether there were turns or not.
  void KeepHouse();

  // Nothing is left to execute but what is parked.
  bool drained() const { return ready_.empty(); }
  // Commands are parked that a stop should wait for, or wait for a batch.
  bool has_parked() const {
    return parking_.delays_stop() || !open_batch_.empty() ||
           (service_.batches != nullptr && parking_.awaits_news());
  }
  // From now on nothing is executed; parked commands are answered `error`, and
  // so are those that would have to run again.
  void StopExecuting(std::string_view error);
  // Nobody will know what becomes of the store's open batch: its commands are
  // answered `error`.
  void DisownBatch(const std::string& error);

  // Connections that closed since the last call; none of the turn's lists holds
  // them any more.
  std::vector<Connection*> TakeClosed();

 private:
  void TakeNews();
  void SettleBatch();
  void Happen(const std::vector<OpenBatch::Effect>& effects);
  void GiveUp(Connection& connection);
  WaitsFor ExecuteInBatch(Connection& connection, bool queue_writers);
  void ShowMonitors();
  void Show(std::string_view line, Seq seq);
  void RetryForRoomAndNews();
  void RetryWithValues();
  void RetryForOthers();
  void Retry(Connection& connection);
  void EndRetry(Connection& connection, WaitsFor waits_for);
  void ExecuteReady();
  bool IsLong() const;
  size_t ExecuteBrief(std::vector<Connection*>& batch);
  size_t ExecuteFirst(std::span<Connection* const> batch, size_t enough);
  size_t ParseAhead(std::span<Connection* const> batch);
  void ExecuteSome(Connection& connection);
  WaitsFor ExecuteOne(Connection& connection, bool is_retry);
  void CountDelayedReply(Connection& connection, const Executed& executed);
  void Park(Connection& connection, WaitsFor waits_for);
  void AfterExecuting(Connection& connection);
  void FlushAll();
  void SendMessages();
  void StayAwakeOrNot();

  EventLoop& loop_;
  ServerState& service_;
  bool woken_ = false;
  bool look_again_ = false;
  bool worked_ = false;  // Some turn since KeepHouse().
  bool executing_ = true;
  std::string stop_error_;  // When it is false.
  size_t executed_ = 0;     // Commands, by ExecuteFirst().
  int64_t executes_since_ns_ = 0;
  ReplyTimes reply_times_;
  KeysAhead keys_ahead_;
  Parking parking_;
  BusyPoll busy_poll_;
  Messages messages_;
  OpenBatch open_batch_;

  // Deferred from the last turn, then new ones in the order of arrival.
  std::vector<Connection*> ready_;
  std::vector<Connection*> waiting_;  // With withheld replies.
  std::vector<Connection*> flush_;
  std::vector<Connection*> monitors_;
  // What they will see of the command under way. One of them may have sent it:
  // its reply comes first, and may still be dropped.
  std::vector<std::pair<std::string, Seq>> shown_;
  std::vector<Connection*> closed_;

  // Started while the loop must not sleep.
  UvPtr<uv_idle_t> awake_;
};

}  // namespace kvd
