// SPDX-License-Identifier: MIT
//
// What commands can reach beyond their own connection and the store's keys. The
// server fills it; tests make one without any socket.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "daemon/host/logging.h"
#include "daemon/pubsub/event_messages.h"
#include "daemon/pubsub/pubsub.h"
#include "daemon/state/command_stats.h"
#include "daemon/state/load_status.h"
#include "daemon/state/session.h"
#include "daemon/state/slow_log.h"
#include "store/batches.h"
#include "store/store.h"

namespace kvd {

struct Scripts;  // daemon/script/scripts.h

inline constexpr char kVersion[] = KVD_VERSION;
// The release whose commands kvd's follow; clients read it to learn what they
// may use.
inline constexpr char kRedisVersion[] = "7.2.4";

struct ServiceStats {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t error_replies = 0;
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t protocol_errors = 0;
  uint64_t http_closed = 0;         // Connections that spoke HTTP.
  uint64_t subscribers_closed = 0;  // That did not read their messages.
  uint64_t commands_per_s = 0;      // Over the last second, as the next two.
  uint64_t input_bytes_per_s = 0;
  uint64_t output_bytes_per_s = 0;
  uint64_t parked = 0;           // Connections whose command waits for room.
  int64_t flush_stalled_ms = 0;  // How long nothing has become durable though
                                 // something should.
};

// Commands that CLIENT PAUSE holds back. Whatever works while the store loads
// works during a pause, so that one can look and end it.
struct Pause {
  enum class Of : uint8_t { kNothing, kWrites, kAll };

  Of of = Of::kNothing;
  int64_t end_ms = 0;  // Monotonic.
};

// As of the last command that changed them.
struct ScriptFigures {
  size_t cached = 0;  // Scripts that clients may name by their SHA-1.
  size_t cache_bytes = 0;
  size_t interpreter_bytes = 0;
  uint64_t evicted = 0;  // Scripts that went to make room.
};

// Thread: loop.
struct ServerState {
  Store* store = nullptr;  // Null while it loads.
  const Config& config;    // Changes by `configure` alone.
  Clock& clock;
  Batches* batches = nullptr;  // Null if it runs commands one by one.

  LoadStatus loading = {};  // Of use while there is no store.
  int64_t started_ms = 0;   // Monotonic.
  std::string socket_path = {};
  int64_t connections_max = 0;
  // What descriptors allow, whatever the settings say.
  int64_t connections_possible = std::numeric_limits<int64_t>::max();
  std::string config_file = {};  // Empty: there is none.

  ServiceStats stats = {};
  AllCommandStats command_stats = {};
  std::map<std::string, uint64_t, std::less<>> errors = {};  // By their code.
  SlowLog slow_log{config.slowlog.length};
  LogRate log_rate = {};      // Of what clients bring about.
  uint64_t memory_peak = 0;   // The most that was used at any look.
  int64_t all_durable_s = 0;  // The wall clock when nothing was undurable, as
                              // of the last look.
  // Made for the first script; null in a build without them.
  std::unique_ptr<Scripts, void (*)(Scripts*)> scripts = {nullptr, nullptr};
  ScriptFigures script_figures = {};
  // CPU time of the loop, for scripts' limit; empty: what the system says.
  std::function<int64_t()> cpu_ns = {};
  int64_t clock_read_ns = 0;  // What the clock said when it was last asked.

  // What the unsent messages of all subscribers may take together, in times of
  // limits.subscriber_bytes.
  static constexpr uint64_t kSubscribersWorth = 8;
  std::unique_ptr<PubSub> pubsub = std::make_unique<PubSub>();
  // Where the store notes what pubsub.keyspace_events asks for.
  std::unique_ptr<KeyEvents> key_events = std::make_unique<KeyEvents>();
  WantedEvents wanted_events = {};
  // Has the store note what `config` asks for now.
  void FollowKeyEvents() {
    wanted_events = WantedEventsOf(config.pubsub.keyspace_events);
    key_events->set_classes(wanted_events.classes);
    if (store == nullptr) return;
    // It listens from the beginning on where a batch may be open by now.
    const bool listens = wanted_events.classes != 0 || batches != nullptr;
    store->ListenTo(listens ? key_events.get() : nullptr);
  }

  // All sessions, oldest first.
  std::vector<Session*> sessions = {};
  // Null if it has gone.
  Session* FindSession(uint64_t id) const {
    // The oldest has the least number.
    const auto found = std::ranges::lower_bound(sessions, id, {}, &Session::id);
    return found == sessions.end() || (*found)->id != id ? nullptr : *found;
  }
  // Memory of all connections' buffers.
  std::function<uint64_t()> connection_bytes = [] { return uint64_t{0}; };
  // Some session was marked as killed.
  bool kill_requested = false;
  // Begins the clean stop, as SIGTERM does.
  std::function<void()> stop = [] {};

  // Makes `config` say this, and has everything follow it. Only settings that
  // are changeable at run time differ.
  std::function<void(const Config&)> configure = [](const Config&) {};
  std::set<std::string> changed_settings = {};  // By CONFIG SET.

  Pause pause = {};
  std::function<void()> pause_changed = [] {};
  // Has commands that wait for room, news or the end of a pause run again so
  // soon at the latest, in ms.
  std::function<void(int64_t)> look_again_in = [](int64_t) {};
  // Has a session, by its id, see what all do, or no longer.
  std::function<void(uint64_t, bool)> set_monitor = [](uint64_t, bool) {};
  // Shows monitors a line and the newest change in it; null if there is none.
  std::function<void(std::string_view, Seq)> monitor = nullptr;
  bool removes_expired = true;  // DEBUG SET-ACTIVE-EXPIRE.

  // What is held back now.
  Pause::Of Paused() const {
    if (pause.of == Pause::Of::kNothing || NowMs() < pause.end_ms) {
      return pause.of;
    }
    return Pause::Of::kNothing;
  }

  // What is the matter when nothing becomes durable.
  std::string_view StallText() const {
    return batches != nullptr ? "etcd has not answered"
                              : "the disk has not finished a flush";
  }

  int64_t ReadClock() { return clock_read_ns = clock.MonotonicNs(); }
  int64_t NowMs() const { return clock.MonotonicUs() / 1000; }
};

// How long a flush may take before kvd calls itself degraded.
inline constexpr int64_t kFlushStalledMs = 2000;

}  // namespace kvd
