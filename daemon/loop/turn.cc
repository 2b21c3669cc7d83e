// SPDX-License-Identifier: MIT
#include "daemon/loop/turn.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "daemon/commands/dispatch.h"
#include "store/batches.h"

namespace kvd {
namespace {

// Commands executed in one turn. During a turn nobody notices that a flush has
// ended: the disk is idle, and writers wait for replies that could be sent.
constexpr size_t kCommandsPerTurn = 512;
// The same as a time, for commands that take long. One is always executed.
constexpr int64_t kTurnNsMax = 10'000'000;
// Connections with at most this much input run before pipelines.
constexpr size_t kBriefBytes = 512;
// Input of one connection executed in one turn: its commands may be large.
constexpr size_t kBytesPerTurn = size_t{1} << 20;

// Commands that waited for values and run in one turn. Many reads may complete
// at once; if one turn answered them all, their clients' next reads would start
// together, too, and disk and loop would each wait while the other works.
constexpr size_t kReadCommandsPerTurn = 8;

void EraseClosed(auto& list) {
  std::erase_if(list, [](const Connection* c) { return c->closed(); });
}

}  // namespace

Turn::Turn(EventLoop& loop, ServerState& service)
    : loop_(loop),
      service_(service),
      keys_ahead_(service),
      parking_(service),
      busy_poll_(service.config.log.busy_poll_us * 1000),
      messages_(service),
      open_batch_(service, reply_times_) {
  auto* idle = new uv_idle_t;
  KVD_CHECK(uv_idle_init(loop.get(), idle) == 0);
  awake_.reset(idle);
}

void Turn::Ready(Connection& connection) {
  if (std::exchange(connection.in.ready, true)) return;
  ready_.push_back(&connection);
}

void Turn::NeedsFlush(Connection& connection) {
  if (std::exchange(connection.in.flush, true)) return;
  flush_.push_back(&connection);
}

void Turn::Run() {
  Store* const store = service_.store;
  const bool news = woken_;
  const bool worked =
      news || look_again_ || !ready_.empty() || parking_.has_runnable();
  reply_times_.BeginTurn(service_.ReadClock());
  if (std::exchange(woken_, false) && store != nullptr && store->Poll()) {
    TakeNews();
    // Clients get on with these while the loop executes.
    if (service_.batches == nullptr) FlushAll();
  }
  if (std::exchange(look_again_, false)) RetryForRoomAndNews();
  RetryWithValues();
  RetryForOthers();
  executes_since_ns_ = service_.clock_read_ns;
  ExecuteReady();
  // The next batch is to be on its way before clients hear of the last one: it
  // has far to go.
  if (service_.batches != nullptr) store->Pump();
  FlushAll();
  if (service_.batches == nullptr && store != nullptr) store->Pump();
  if (messages_.has_mail()) messages_.Deliver(0);
  if (messages_.has_work()) SendMessages();
  if (reply_times_.HasReady()) reply_times_.EndTurn(service_.ReadClock());
  if (worked) {
    busy_poll_.Worked({reply_times_.turn_began_ns(), service_.ReadClock(), news,
                       waiting_.size()});
  }
  worked_ |= worked;
  StayAwakeOrNot();
}

// When all clients stop at once there is no further turn to notice it.
void Turn::KeepHouse() {
  if (std::exchange(worked_, false) || !waiting_.empty()) return;
  busy_poll_.Rested();
}

void Turn::StayAwakeOrNot() {
  const bool has_work =
      !ready_.empty() || parking_.has_runnable() || messages_.has_work();
  const bool gathers = service_.store != nullptr && service_.store->gathers();
  if (!has_work && !gathers && !busy_poll_.StaysAwake(service_.clock_read_ns)) {
    uv_idle_stop(awake_.get());
    return;
  }
  uv_idle_start(awake_.get(), [](uv_idle_t*) {});
  // Lets others run here before the next look: a client, or what the kernel
  // does for the disk.
  if (!has_work) sched_yield();
}

void Turn::TakeNews() {
  // After a disk fault nothing is released: the owner replaces these replies.
  if (service_.store->failure() && !service_.store->storage_lost()) return;
  const Seq durable_seq = service_.store->durable_seq();
  reply_times_.Release(durable_seq);
  std::erase_if(waiting_, [&](Connection* connection) {
    if (connection->closed()) return true;
    connection->replies().Release(durable_seq);
    if (connection->session().is_subscribed()) {
      messages_.SendLater(*connection, 0);
    } else {
      NeedsFlush(*connection);
    }
    connection->in.waiting = connection->replies().withholds();
    return !connection->in.waiting;
  });
  if (service_.batches != nullptr) SettleBatch();
  RetryForRoomAndNews();
}

// What became of the batch whose commands wait for that.
void Turn::SettleBatch() {
  using Outcome = Batches::Outcome;
  const Outcome outcome = service_.batches->TakeOutcome();
  if (outcome == Outcome::kNone) return;
  const std::vector<OpenBatch::Effect> effects = open_batch_.TakeEffects();
  for (Connection* connection : open_batch_.TakeConnections()) {
    if (outcome == Outcome::kRefused) {
      parking_.Remove(*connection);
      connection->RunAgain();
    } else {
      open_batch_.Answer(*connection, outcome == Outcome::kFailed
                                          ? &service_.batches->refusal()
                                          : nullptr);
      AfterExecuting(*connection);
    }
    if (!executing_) {
      GiveUp(*connection);
    } else {
      Ready(*connection);
    }
  }
  if (outcome == Outcome::kCommitted) Happen(effects);
  if (messages_.has_mail()) messages_.Deliver(0);
}

// Each behind the events of keys that came before it.
void Turn::Happen(const std::vector<OpenBatch::Effect>& effects) {
  size_t told = 0;
  for (const auto& [events, run] : effects) {
    if (events > told) messages_.DeliverEvents(events - told);
    told = events;
    run();
    messages_.DeliverMail(0);
    if (!shown_.empty()) ShowMonitors();
  }
}

// Its commands that would have to run are answered instead, those that are
// answered at all.
void Turn::GiveUp(Connection& connection) {
  for (size_t left = connection.GiveUpCommands(); left > 0; --left) {
    ReplyWriter(connection.replies().buffer(), connection.session().protocol)
        .Error(stop_error_);
    connection.replies().Commit(0, false);
  }
  connection.session().closing = true;
  AfterExecuting(connection);
}

void Turn::RetryForRoomAndNews() {
  while (Connection* connection = parking_.TakeForRoom()) {
    const WaitsFor waits_for = ExecuteOne(*connection, /*is_retry=*/true);
    if (waits_for == WaitsFor::kRoom) {
      parking_.ParkFirst(*connection);
      break;
    }
    EndRetry(*connection, waits_for);
  }
  for (Connection* connection : parking_.TakeForNews()) Retry(*connection);
}

void Turn::RetryWithValues() {
  for (size_t i = 0; i < kReadCommandsPerTurn; ++i) {
    Connection* connection = parking_.TakeWithValues();
    if (connection == nullptr) return;
    Retry(*connection);
  }
}

// One a turn: all other clients would wait for all of them.
void Turn::RetryForOthers() {
  Connection* connection = parking_.TakeForOthers();
  if (connection == nullptr) return;
  Retry(*connection);
  // Its time does not count towards kTurnNsMax.
  service_.ReadClock();
}

// Runs a command again that did not wait for room.
void Turn::Retry(Connection& connection) {
  EndRetry(connection, ExecuteOne(connection, /*is_retry=*/false));
}

void Turn::EndRetry(Connection& connection, WaitsFor waits_for) {
  if (waits_for != WaitsFor::kNothing) return Park(connection, waits_for);
  AfterExecuting(connection);
  Ready(connection);
}

void Turn::Park(Connection& connection, WaitsFor waits_for) {
  int64_t& since_ns = connection.in.waits_since_ns;
  if (since_ns == 0) since_ns = reply_times_.turn_began_ns();
  parking_.Park(connection, waits_for);
}

void Turn::ExecuteReady() {
  std::vector<Connection*> batch;
  batch.swap(ready_);
  std::span<Connection* const> left(batch);
  if (!batch.empty() && batch.front()->in.postponed) {
    left = left.subspan(ExecuteBrief(batch));
  }
  left = left.subspan(ExecuteFirst(left, kCommandsPerTurn));
  // These are first in the next turn; until then nothing more is read of them.
  for (Connection* connection : left) connection->in.postponed = true;
  ready_.insert(ready_.begin(), left.begin(), left.end());
  // The larger of the two buffers serves the next turn.
  if (ready_.empty()) {
    batch.clear();
    ready_.swap(batch);
  }
}

// Whether this turn has taken its time. The clock is read for every command
// whose work its row and a few words do not bound.
bool Turn::IsLong() const {
  return service_.clock_read_ns - executes_since_ns_ > kTurnNsMax;
}

// For a turn with more to do than its limits allow: connections with little
// input run first and get their replies at once, not at the turn's end. Returns
// how many there were; they are the first of `batch` now.
size_t Turn::ExecuteBrief(std::vector<Connection*>& batch) {
  const auto end = std::stable_partition(
      batch.begin(), batch.end(),
      [](Connection* c) { return c->input_bytes() <= kBriefBytes; });
  const size_t executed =
      ExecuteFirst({batch.begin(), end}, /*enough=*/SIZE_MAX);
  FlushAll();
  return executed;
}

// Executes what the first connections of `batch` sent, until `enough` commands
// have run or the time is up. Returns how many connections that were.
size_t Turn::ExecuteFirst(std::span<Connection* const> batch, size_t enough) {
  executed_ = 0;
  size_t parsed = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (i > 0 && IsLong()) return i;
    if (i == parsed) {
      if (executed_ >= enough) return i;
      parsed += ParseAhead(batch.subspan(i));
    }
    batch[i]->in.ready = false;
    if (!batch[i]->closed()) ExecuteSome(*batch[i]);
  }
  return batch.size();
}

// Parses what the first connections of `batch` sent, until there are enough
// keys to fetch together, or as many commands without one. Returns how many
// connections that were.
size_t Turn::ParseAhead(std::span<Connection* const> batch) {
  size_t count = 0;
  size_t commands = 0;
  while (count < batch.size() && commands < KeysAhead::kEnough &&
         keys_ahead_.size() < KeysAhead::kEnough) {
    if (batch[count]->MayExecute())
      commands += batch[count]->ParseAhead(keys_ahead_);
    ++count;
  }
  keys_ahead_.Fetch();
  return count;
}

void Turn::ExecuteSome(Connection& connection) {
  connection.in.postponed = false;
  if (!executing_) {
    connection.session().closing = true;
    if (service_.batches != nullptr && connection.session().unsettled == 0) {
      return GiveUp(connection);
    }
    return AfterExecuting(connection);
  }
  size_t commands = 0;
  size_t bytes = 0;
  while (connection.MayExecute()) {
    if (commands == kCommandsPerTurn || bytes >= kBytesPerTurn ||
        (commands > 0 && IsLong())) {
      Ready(connection);
      break;
    }
    const ParseOutcome outcome = connection.NextCommand(keys_ahead_);
    if (outcome == ParseOutcome::kNeedMore) {
      if (connection.input_ended()) connection.session().closing = true;
      break;
    }
    if (outcome == ParseOutcome::kError) {
      // Behind the replies to what was sent before; nothing more is read.
      if (connection.session().unsettled > 0) {
        connection.EndInput();
        break;
      }
      ++service_.stats.protocol_errors;
      connection.RefuseInput();
      break;
    }
    ++commands;
    bytes += connection.command_bytes();
    if (const auto waits_for = ExecuteOne(connection, /*is_retry=*/false);
        waits_for != WaitsFor::kNothing) {
      Park(connection, waits_for);
    }
  }
  executed_ += commands;
  if (commands > 0) connection.session().active_ms = loop_.now_ms();
  AfterExecuting(connection);
}

WaitsFor Turn::ExecuteOne(Connection& connection, bool is_retry) {
  const bool queue_writers = !is_retry && parking_.queues_writers();
  if (service_.batches != nullptr) {
    return ExecuteInBatch(connection, queue_writers);
  }
  ReplyQueue& replies = connection.replies();
  const Executed executed =
      Execute(service_, connection.session(), connection.args(), queue_writers,
              &connection.cold(), replies.buffer(), replies.lent(),
              connection.hashed_key());
  if (executed.waits_for != WaitsFor::kNothing) return executed.waits_for;
  replies.Commit(executed.seen,
                 executed.seen != 0 && service_.store->MustWait(executed.seen));
  if (executed.stats != nullptr) {
    if (connection.in.waits_since_ns == 0 && !replies.withholds()) {
      reply_times_.Ready(*executed.stats);
    } else {
      CountDelayedReply(connection, executed);
    }
  }
  if (messages_.has_mail()) messages_.Deliver(connection.session().newest_seen);
  if (!shown_.empty()) ShowMonitors();
  connection.CommandDone();
  return WaitsFor::kNothing;
}

// Replies stay with their commands until it is certain that they count.
WaitsFor Turn::ExecuteInBatch(Connection& connection, bool queue_writers) {
  Session& session = connection.session();
  session.provisional_revisions.clear();
  std::string reply;
  const Executed executed = Execute(service_, session, connection.args(),
                                    queue_writers, &connection.cold(), &reply);
  // Of what a reply shows outside of a batch all is durable.
  session.newest_seen = 0;
  if (executed.waits_for != WaitsFor::kNothing) return executed.waits_for;
  if (executed.in_batch) {
    open_batch_.Add(connection, std::move(reply), executed);
    if (!shown_.empty()) {
      open_batch_.AddEffect([this, lines = std::exchange(shown_, {})] {
        shown_.insert(shown_.end(), lines.begin(), lines.end());
      });
    }
  } else {
    connection.replies().buffer()->append(reply);
    connection.replies().Commit(0, false);
    if (executed.stats != nullptr) {
      if (connection.in.waits_since_ns == 0) {
        reply_times_.Ready(*executed.stats);
      } else {
        CountDelayedReply(connection, executed);
      }
    }
    if (messages_.has_mail()) messages_.Deliver(0);
    if (!shown_.empty()) ShowMonitors();
  }
  connection.CommandDone();
  return WaitsFor::kNothing;
}

void Turn::CountDelayedReply(Connection& connection, const Executed& executed) {
  const int64_t waits_since_ns = std::exchange(connection.in.waits_since_ns, 0);
  const int64_t began_ns =
      waits_since_ns != 0 ? waits_since_ns : reply_times_.turn_began_ns();
  if (!connection.replies().withholds()) {
    return reply_times_.ReadyAfter(*executed.stats, began_ns);
  }
  // A reply that shows no undurable change waits behind an earlier one that
  // does; that change is not newer than the store's last.
  const bool waits = service_.store->MustWait(executed.seen);
  reply_times_.Withheld(*executed.stats, began_ns,
                        waits ? executed.seen : service_.store->last_seq());
}

void Turn::SendMessages() {
  messages_.Work();
  const std::vector<Connection*> some = messages_.TakeSome();
  for (Connection* connection : some) NeedsFlush(*connection);
  FlushAll();
  for (Connection* connection : some) {
    connection->session().output_bytes = connection->output_bytes();
  }
}

void Turn::GotMessage(Connection& connection, size_t bytes) {
  if (connection.replies().withholds() &&
      !std::exchange(connection.in.waiting, true)) {
    waiting_.push_back(&connection);
  }
  messages_.SendLater(connection, bytes);
}

void Turn::AfterExecuting(Connection& connection) {
  Session& session = connection.session();
  session.input_bytes = connection.input_bytes();
  session.output_bytes = connection.output_bytes();
  connection.in.starved = connection.OutputIsFull();
  if (connection.replies().withholds() &&
      !std::exchange(connection.in.waiting, true)) {
    waiting_.push_back(&connection);
  }
  NeedsFlush(connection);
  connection.UpdateReading();
}

void Turn::FlushAll() {
  // Flushing appends nothing to this list: writes complete in later turns.
  for (Connection* connection : flush_) {
    connection->in.flush = false;
    connection->Flush();
    if (connection->closed() || !connection->in.starved ||
        connection->OutputIsFull()) {
      continue;
    }
    connection->in.starved = false;
    Ready(*connection);
  }
  flush_.clear();
}

void Turn::SetMonitor(Connection& connection, bool monitors) {
  if (std::exchange(connection.session().monitors, monitors) == monitors) {
    return;
  }
  if (monitors) {
    monitors_.push_back(&connection);
  } else {
    std::erase(monitors_, &connection);
  }
  // While nobody monitors, a command finds no function to call.
  if (monitors_.empty()) {
    service_.monitor = nullptr;
  } else {
    service_.monitor = [this](std::string_view line, Seq seq) {
      shown_.emplace_back(line, seq);
    };
  }
}

void Turn::ShowMonitors() {
  for (const auto& [line, seq] : shown_) Show(line, seq);
  shown_ = {};
}

void Turn::Show(std::string_view line, Seq seq) {
  const bool wait = seq != 0 && service_.store->MustWait(seq);
  for (Connection* monitor : monitors_) {
    if (monitor->closed() || monitor->session().closing) continue;
    ReplyQueue& replies = monitor->replies();
    if (monitor->output_bytes() + line.size() >
        service_.config.limits.output_bytes) {
      monitor->Close();
      continue;
    }
    replies.buffer()->append(line);
    replies.Commit(seq, wait);
    AfterExecuting(*monitor);
  }
}

void Turn::DisownBatch(const std::string& error) {
  open_batch_.TakeEffects();
  for (Connection* connection : open_batch_.TakeConnections()) {
    open_batch_.Answer(*connection, &error);
    AfterExecuting(*connection);
  }
}

void Turn::StopExecuting(std::string_view error) {
  executing_ = false;
  stop_error_ = error;
  for (Connection* connection : parking_.TakeAll()) {
    connection->session().listing.reset();
    if (service_.batches != nullptr) {
      connection->set_parked(true);
      // What is in a batch is answered first.
      if (connection->session().unsettled == 0) GiveUp(*connection);
      continue;
    }
    if (!connection->session().is_silent()) {
      ReplyWriter(connection->replies().buffer(),
                  connection->session().protocol)
          .Error(error);
      connection->replies().Commit(0, false);
    }
    connection->session().closing = true;
    AfterExecuting(*connection);
  }
}

std::vector<Connection*> Turn::TakeClosed() {
  if (closed_.empty()) return {};
  EraseClosed(ready_);
  EraseClosed(waiting_);
  open_batch_.EraseClosed();
  EraseClosed(flush_);
  messages_.EraseClosed();
  EraseClosed(monitors_);
  if (monitors_.empty()) service_.monitor = nullptr;
  parking_.EraseClosed();
  return std::exchange(closed_, {});
}

}  // namespace kvd
