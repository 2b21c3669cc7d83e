// SPDX-License-Identifier: MIT
#include "daemon/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "config/units.h"
#include "daemon/commands/table.h"
#include "daemon/host/logging.h"
#include "daemon/host/memory_share.h"
#include "daemon/host/notify.h"
#include "daemon/state/memory_figures.h"
#include "daemon/store_opener.h"

namespace kvd {
namespace {

// After a change the store's background work is asked within this time.
constexpr int64_t kTickSoonMs = 10;
constexpr int64_t kHousekeepingMsMax = 1000;
constexpr int64_t kHousekeepingMsMin = 10;
// How long a stop waits for room for commands that were read, and then for
// clients that do not read their replies.
constexpr int64_t kDrainMsMax = 2000;
constexpr int64_t kFlushMsMax = 5000;
constexpr int64_t kLastWordsMsMax = 1000;

// After such a limit there is one more look at what clients take: kvd may have
// been halted, and they not.
constexpr int64_t kOneMoreLookMs = 1;

// Often enough that a half command's time is kept to a half, and that the
// watchdog hears of kvd several times in its time.
int64_t HousekeepingMs(const Config& config) {
  const int64_t shortest_ms =
      std::min(config.limits.half_command_timeout_ms,
               notify::WatchdogMs().value_or(kHousekeepingMsMax * 4));
  return std::clamp(shortest_ms / 4, kHousekeepingMsMin, kHousekeepingMsMax);
}

// `before` is what was counted `elapsed_ms` ago, and becomes `now`.
void NoteRates(int64_t elapsed_ms, ServiceStats* now, ServiceStats* before) {
  const auto rate = [&](uint64_t ServiceStats::*count) {
    // CONFIG RESETSTAT lets them start again from 0.
    const uint64_t more = now->*count - std::min(now->*count, before->*count);
    return more * 1000 / static_cast<uint64_t>(elapsed_ms);
  };
  now->commands_per_s = rate(&ServiceStats::commands);
  now->input_bytes_per_s = rate(&ServiceStats::input_bytes);
  now->output_bytes_per_s = rate(&ServiceStats::output_bytes);
  *before = *now;
}

}  // namespace

Server::Server(EventLoop& loop, LoopWaker& waker, StopSignals& signals,
               Clock& clock, const Config& config, ConnectionBounds bounds,
               std::vector<std::unique_ptr<ListeningSocket>> sockets)
    : loop_(loop),
      waker_(waker),
      signals_(signals),
      connections_reserved_(bounds.reserved),
      own_uid_(geteuid()),
      housekeeping_ms_(HousekeepingMs(config)),
      config_(config),
      service_{.config = config_, .clock = clock},
      turn_(loop, service_),
      sockets_(std::move(sockets)),
      tick_(loop, [this] { ScheduleTick(); }),
      housekeeping_(loop, [this] { KeepHouse(); }),
      stop_limit_(loop, [this] { StopLimitReached(); }),
      look_again_(loop, [this] { LookAgain(); }) {
  KVD_CHECK(!sockets_.empty());
  service_.started_ms = service_.NowMs();
  service_.loading = {.started_ms = service_.started_ms,
                      .started_wall_ms = clock.WallMs()};
  service_.socket_path = sockets_.front()->path();
  service_.connections_max = bounds.clients;
  service_.connections_possible = bounds.possible;
  service_.connection_bytes = [this] {
    uint64_t bytes = 0;
    for (const auto& [id, connection] : connections_) {
      bytes += connection->memory_bytes();
    }
    return bytes;
  };
  service_.stop = [this] { BeginStop("SHUTDOWN"); };
  service_.configure = [this](const Config& next) { Configure(next); };
  service_.look_again_in = [this](int64_t ms) { LookAgainIn(ms); };
  service_.pause_changed = [this] { PauseChanged(); };
  service_.set_monitor = [this](uint64_t id, bool monitors) {
    const auto found = connections_.find(id);
    if (found != connections_.end()) turn_.SetMonitor(*found->second, monitors);
  };
  auto* check = new uv_check_t;
  KVD_CHECK(uv_check_init(loop.get(), check) == 0);
  check->data = this;
  check_.reset(check);
  uv_check_start(check, [](uv_check_t* handle) {
    if (handle->data != nullptr) static_cast<Server*>(handle->data)->RunTurn();
  });
  waker_.OnWake([this] { turn_.Woken(); });
  housekeeping_.Start(housekeeping_ms_, housekeeping_ms_);
  last_look_ms_ = counted_.at_ms = loop.now_ms();
  signals_.OnSignal([this](int signal) {
    BeginStop(signal == SIGINT ? "SIGINT" : "SIGTERM");
  });
}

Server::~Server() {
  // The store may undo something when it ends.
  if (service_.store != nullptr) service_.store->ListenTo(nullptr);
  waker_.OnWake([] {});
  signals_.OnSignal(nullptr);
  for (auto& [id, connection] : connections_) connection->Close();
  BuryClosed();
}

void Server::Listen() {
  if (!acceptors_.empty()) return;
  // None is left once a stop has begun.
  for (const auto& socket : sockets_) {
    acceptors_.push_back(std::make_unique<Acceptor>(
        loop_, socket->fd(),
        [this](UniqueFd client) { Accept(std::move(client)); }));
  }
}

void Server::Serve(Store& store) {
  KVD_CHECK(loading());
  stage_ = Stage::kServing;
  service_.store = &store;
  service_.batches = store.batches();
  service_.FollowKeyEvents();
  // What CONFIG SET and CLIENT PAUSE asked for while it was loading.
  if (!service_.changed_settings.empty()) Configure(Config(config_));
  PauseChanged();
  Listen();
  // What came in before, such as completions of opening.
  waker_.Wake();
  ScheduleTick();
}

ExitCode Server::Run() {
  if (!ended()) loop_.Run();
  return exit_code_;
}

void Server::Accept(UniqueFd client) {
  ++service_.stats.connections_received;
  if (const Peer peer = PeerOf(client.get()); !HasPlaceFor(peer)) {
    ++service_.stats.connections_rejected;
    return Reject(client, peer);
  }
  const uint64_t id = next_id_++;
  auto connection = std::make_unique<Connection>(loop_, std::move(client), id,
                                                 service_, turn_);
  service_.sessions.push_back(&connection->session());
  connections_.emplace(id, std::move(connection));
}

bool Server::HasPlaceFor(const Peer& peer) const {
  const auto taken = static_cast<int64_t>(connections_.size());
  const int64_t clients_max = service_.connections_max;
  if (taken < clients_max) return true;
  if (peer.uid != 0 && peer.uid != own_uid_) return false;
  if (taken >= clients_max + connections_reserved_) return false;
  // Else a program of theirs that takes all it can get would have these, too.
  return std::none_of(service_.sessions.begin(), service_.sessions.end(),
                      [&](const Session* session) {
                        return session->pid == peer.pid &&
                               session->uid == peer.uid;
                      });
}

void Server::Reject(const UniqueFd& client, const Peer& peer) {
  if (service_.log_rate.Allow(service_.NowMs())) {
    std::map<std::pair<pid_t, uid_t>, int64_t> held;
    for (const Session* session : service_.sessions) {
      ++held[{session->pid, session->uid}];
    }
    const auto most = std::max_element(
        held.begin(), held.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    KVD_CHECK(most != held.end());
    LogWarning(
        "refused a client (pid {}, uid {}): there are {}, pid {} (uid {}) has "
        "{} of them",
        peer.pid, peer.uid, connections_.size(), most->first.first,
        most->first.second, most->second);
  }
  constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
  // A new socket has room for this; if not, the close says enough.
  std::ignore = send(client.get(), kFull.data(), kFull.size(),
                     MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Server::RunTurn() {
  turn_.Run();
  CloseKilled();
  BuryClosed();
  Advance();
  if (stage_ != Stage::kServing) return;
  const Store& store = *service_.store;
  const bool changed = store.last_seq() != ticked_seq_ ||
                       store.durable_seq() != ticked_durable_seq_;
  const bool keeps_pace = store.keeps_pace();
  const int64_t soon_ms = keeps_pace ? 1 : kTickSoonMs;
  if ((changed || keeps_pace) &&
      (!tick_.active() || tick_.due_in_ms() > soon_ms)) {
    tick_.Start(soon_ms);
  }
}

void Server::CloseKilled() {
  if (!std::exchange(service_.kill_requested, false)) return;
  for (auto& [id, connection] : connections_) {
    if (connection->session().killed) connection->Close();
  }
}

void Server::BuryClosed() {
  for (Connection* connection : turn_.TakeClosed()) {
    const uint64_t id = connection->session().id;
    std::erase(service_.sessions, &connection->session());
    connections_.erase(id);
  }
}

void Server::Configure(const Config& config) {
  if (config.logging.level != config_.logging.level) {
    SetUpLogging(config.logging.level);
  }
  config_ = config;
  service_.slow_log.set_length(config.slowlog.length);
  service_.FollowKeyEvents();
  service_.connections_max =
      std::min(config.limits.connections, service_.connections_possible);
  if (service_.store == nullptr) return;
  service_.store->Tune(
      TuningOf(config, BoundsOf(config.memory, AvailableMemory())));
  // There may be room for those who wait for it, or values to give up.
  waker_.Wake();
  tick_.Start(1);
}

void Server::LookAgainIn(int64_t ms) {
  ms = std::max<int64_t>(ms, 0);
  if (look_again_.active() && look_again_.due_in_ms() <= ms) return;
  look_again_.Start(ms);
}

void Server::LookAgain() {
  turn_.LookAgain();
  PauseChanged();
}

// Keys stay during a pause, whatever their deadlines. Source: Redis.
void Server::PauseChanged() {
  const bool paused = service_.Paused() != Pause::Of::kNothing;
  if (paused) {
    LookAgainIn(service_.pause.end_ms - service_.NowMs());
  } else {
    service_.pause = {};
  }
  if (service_.store == nullptr) return;
  service_.store->set_removes_expired(service_.removes_expired && !paused);
  if (stage_ == Stage::kServing) tick_.Start(1);
}

void Server::ScheduleTick() {
  if (stage_ != Stage::kServing) return;
  Store& store = *service_.store;
  const std::optional<int64_t> again_ms = store.Tick();
  ticked_seq_ = store.last_seq();
  ticked_durable_seq_ = store.durable_seq();
  if (again_ms) {
    tick_.Start(std::max<int64_t>(*again_ms, 1));
  } else {
    tick_.Stop();
  }
  // Expired keys may have been removed; the loop may be about to sleep.
  store.Pump();
}

void Server::KeepHouse() {
  notify::Alive();
  // A stop may wait for room that the log needs.
  if (stage_ == Stage::kClosing) service_.store->Tick();
  const int64_t now_ms = loop_.now_ms();
  const int64_t passed_ms = now_ms - std::exchange(last_look_ms_, now_ms);
  looked_ms_ += LookedOf(passed_ms);
  EndHalfCommands(passed_ms);
  CheckFlushes();
  NoteFigures();
  turn_.KeepHouse();
  const int64_t elapsed_ms = loop_.now_ms() - counted_.at_ms;
  if (elapsed_ms >= kHousekeepingMsMax) {
    NoteRates(elapsed_ms, &service_.stats, &counted_.stats);
    counted_.at_ms = loop_.now_ms();
  }
  RunTurn();
}

// What counts of the time since the last look.
int64_t Server::LookedOf(int64_t passed_ms) const {
  return std::min(passed_ms, 2 * housekeeping_ms_);
}

void Server::EndHalfCommands(int64_t passed_ms) {
  const int64_t timeout_ms = service_.config.limits.half_command_timeout_ms;
  for (auto& [id, connection] : connections_) {
    if (!connection->awaits_rest()) continue;
    if (IsPlanted(PlantedBug::kJudgeUnreadInput)) {
      connection->AddSilence(passed_ms);
    }
    // Judged without the time since the last look: what came in it may not be
    // read yet, and all that came before it is.
    if (connection->silent_ms() < timeout_ms) {
      connection->AddSilence(LookedOf(passed_ms));
      continue;
    }
    connection->Refuse("timeout: the rest of a command did not arrive");
    connection->UpdateReading();
    turn_.NeedsFlush(*connection);
  }
}

void Server::CheckFlushes() {
  if (service_.store == nullptr || stage_ == Stage::kLost) return;
  const Store& store = *service_.store;
  const Seq durable_seq = store.durable_seq();
  const bool waits = store.MustWait(store.last_seq());
  if (!waits || durable_seq != stalled_at_seq_) {
    stalled_since_ms_ = looked_ms_;
  }
  stalled_at_seq_ = durable_seq;
  service_.stats.flush_stalled_ms = looked_ms_ - stalled_since_ms_;
  const bool stalled = service_.stats.flush_stalled_ms >= kFlushStalledMs;
  if (stalled == stall_logged_) return;
  stall_logged_ = stalled;
  if (stalled) {
    LogWarning("degraded: {} for {} ms; writers wait{}", service_.StallText(),
               service_.stats.flush_stalled_ms,
               service_.batches != nullptr ? "" : ", reads go on");
    notify::Status(
        fmt::format("Degraded: {} for a while", service_.StallText()));
  } else {
    LogInfo("changes become durable again");
    notify::Status("Serving");
  }
}

// What INFO can only know by having looked.
void Server::NoteFigures() {
  NoteMemoryPeak(service_, MemoryFiguresOf(service_));
  const Store* store = service_.store;
  if (store != nullptr && store->durable_seq() == store->last_seq()) {
    service_.all_durable_s = service_.clock.WallMs() / 1000;
  }
}

void Server::BeginStop(std::string_view reason) {
  if (stage_ == Stage::kLost) {
    LogInfo("stopping: {}", reason);
    // At the end of the turn: a command may have asked.
    return stop_limit_.Stop();
  }
  if (stage_ != Stage::kLoading && stage_ != Stage::kServing) return;
  stage_ = Stage::kDraining;
  LogInfo("stopping: {}", reason);
  // What CLIENT PAUSE holds back was read, so it is executed.
  service_.pause = {};
  LookAgainIn(0);
  notify::Stopping();
  acceptors_.clear();
  sockets_.clear();
  for (auto& [id, connection] : connections_) {
    connection->EndInput();
    turn_.Ready(*connection);
  }
  tick_.Stop();
  StartStopLimit(kDrainMsMax);
}

void Server::StartStopLimit(int64_t limit_ms) {
  stop_limit_passed_ = false;
  stop_limit_.Start(limit_ms);
}

void Server::StopLimitReached() {
  if (!std::exchange(stop_limit_passed_, true)) {
    return stop_limit_.Start(kOneMoreLookMs);
  }
  Advance();
}

void Server::Advance() {
  const Store* store = service_.store;
  if (store != nullptr && store->failure() && stage_ != Stage::kFailing &&
      stage_ != Stage::kLost && stage_ != Stage::kEnded) {
    const bool may_read = store->storage_lost() && stage_ == Stage::kServing &&
                          service_.config.durability.reads_after_loss_ms > 0;
    if (may_read) return ServeReadsOnly(*store->failure());
    return Fail(*store->failure());
  }
  const bool late = !stop_limit_.active();
  switch (stage_) {
    case Stage::kLoading:
    case Stage::kServing:
    case Stage::kEnded:
      return;
    case Stage::kDraining:
      if (turn_.drained() && (!turn_.has_parked() || late)) StopStore();
      return;
    case Stage::kClosing:
      if (store->stopped()) BeginFlushing(kFlushMsMax);
      return;
    case Stage::kLost:
      if (late) Fail(*store->failure());
      return;
    case Stage::kFlushing:
    case Stage::kFailing:
      if (connections_.empty() || late) End();
      return;
  }
}

void Server::StopStore() {
  stage_ = Stage::kClosing;
  turn_.StopExecuting(
      "ERR kvd is stopping; the command was not executed, nothing was changed");
  Store* const store = service_.store;
  if (store == nullptr) return BeginFlushing(kFlushMsMax);
  store->Stop();
  // It may be done at once, without waking anybody.
  turn_.Woken();
  tick_.Stop();
  turn_.Run();
  BuryClosed();
  if (store->failure()) return Fail(*store->failure());
  if (store->stopped()) BeginFlushing(kFlushMsMax);
}

void Server::BeginFlushing(int64_t limit_ms) {
  if (stage_ != Stage::kFailing) stage_ = Stage::kFlushing;
  // Without a store nothing has been withheld.
  const Seq durable_seq =
      service_.store != nullptr ? service_.store->durable_seq() : 0;
  for (auto& [id, connection] : connections_) {
    connection->session().closing = true;
    connection->replies().Release(durable_seq);
    turn_.NeedsFlush(*connection);
  }
  StartStopLimit(limit_ms);
  turn_.Run();
  BuryClosed();
  if (connections_.empty()) End();
}

void Server::Fail(const Error& error) {
  const bool lost = service_.store->storage_lost();
  stage_ = Stage::kFailing;
  exit_code_ = ExitCode::kDiskFault;
  if (service_.batches != nullptr) {
    exit_code_ = ExitCodeOf(error);
    LogError("exits: {}", error.message());
  } else if (lost) {
    LogError("exits, and what is in memory is not all on disk: {}",
             error.message());
  } else {
    LogError("disk fault: {}", error.message());
    LogError(
        "what was in flight is answered with \"outcome unknown\"; kvd exits "
        "and does not write again. Check the disk, then start kvd");
  }
  notify::Stopping();
  acceptors_.clear();
  sockets_.clear();
  tick_.Stop();
  for (auto& [id, connection] : connections_) connection->EndInput();
  DisownWithheld();
  turn_.DisownBatch(fmt::format(
      "IOERR outcome unknown: {}. Look before you try again", error.message()));
  turn_.StopExecuting(
      service_.batches != nullptr
          ? "IOERR kvd ends; the command was not executed, nothing was changed"
          : "IOERR disk fault; the command was not executed, nothing was "
            "changed");
  BeginFlushing(kLastWordsMsMax);
}

// Replies that promise what may not be on disk say so instead.
void Server::DisownWithheld() {
  constexpr std::string_view kUnknown =
      "-IOERR outcome unknown: a disk fault happened; the write may or may not "
      "be there after a restart\r\n";
  for (auto& [id, connection] : connections_) {
    connection->replies().ReplaceWithheld(kUnknown);
    turn_.NeedsFlush(*connection);
  }
}

void Server::ServeReadsOnly(const Error& loss) {
  stage_ = Stage::kLost;
  exit_code_ = ExitCode::kDiskFault;
  const int64_t limit_ms = service_.config.durability.reads_after_loss_ms;
  const std::string& socket = service_.socket_path;
  LogError("the data is not on disk any more: {}", loss.message());
  LogError(
      "writes are refused from now on. What is in memory can be read for {}, "
      "then kvd exits; SIGTERM ends it at once, and with it what is only in "
      "memory. Copy it now: \"kvctl --socket {} ls\" prints all keys, and "
      "\"kvctl --socket {} get KEY\" a value",
      FormatDuration(limit_ms), socket, socket);
  notify::Status("Lost its data directory: reads only, then it exits");
  DisownWithheld();
  tick_.Stop();
  stop_limit_.Start(limit_ms);
  turn_.Run();
  BuryClosed();
}

void Server::End() {
  stage_ = Stage::kEnded;
  loop_.Stop();
}

}  // namespace kvd
