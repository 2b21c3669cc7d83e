// SPDX-License-Identifier: MIT
#include "daemon/commands/server/info.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "daemon/commands/server/statistics.h"
#include "daemon/commands/table.h"
#include "daemon/commands/text.h"
#include "daemon/host/memory_share.h"
#include "daemon/state/memory_figures.h"

namespace kvd {
namespace {

constexpr uint64_t kNsPerUs = 1000;

// Lines of "name:value".
class Lines {
 public:
  template <typename T>
  void Add(std::string_view name, const T& value) {
    fmt::format_to(std::back_inserter(text_), "{}:{}\r\n", name, value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// Another one for each start, of 40 digits as Redis has them.
std::string RunId(const ServerState& service) {
  return fmt::format("{:024x}{:016x}", getpid(),
                     service.loading.started_wall_ms);
}

std::string Server(ServerState& service) {
  Lines lines;
  utsname system = {};
  uname(&system);
  const int64_t uptime_s = (service.NowMs() - service.started_ms) / 1000;
  lines.Add("redis_version", kRedisVersion);
  lines.Add("redis_git_sha1", "00000000");  // As of a build of a release.
  lines.Add("redis_git_dirty", 0);
  lines.Add("kvd_version", kVersion);
  lines.Add("redis_mode", "standalone");
  lines.Add("os", fmt::format("{} {} {}", system.sysname, system.release,
                              system.machine));
  lines.Add("arch_bits", sizeof(void*) * 8);
  lines.Add("multiplexing_api", "epoll");
  lines.Add("process_id", getpid());
  lines.Add("run_id", RunId(service));
  lines.Add("tcp_port", 0);
  lines.Add("unixsocket", service.socket_path);
  lines.Add("data_dir", service.config.data_dir);
  lines.Add("kvd_backend", service.config.storage.backend);
  lines.Add("config_file", service.config_file);
  lines.Add("server_time_usec", service.clock.WallMs() * 1000);
  lines.Add("uptime_in_seconds", uptime_s);
  lines.Add("uptime_in_days", uptime_s / (24 * 3600));
  lines.Add("hz", 10);
  lines.Add("io_threads_active", 0);
  return lines.Take();
}

std::string Clients(ServerState& service) {
  Lines lines;
  lines.Add("connected_clients", service.sessions.size());
  lines.Add("cluster_connections", 0);
  lines.Add("maxclients", service.connections_max);
  lines.Add("blocked_clients", service.stats.parked);
  lines.Add("tracking_clients", 0);
  size_t watching = 0;
  size_t watched = 0;
  for (const Session* session : service.sessions) {
    if (session->watched_keys() > 0) ++watching;
    watched += session->watched_keys();
  }
  lines.Add("watching_clients", watching);
  lines.Add("total_watched_keys", watched);
  lines.Add("pubsub_clients",
            std::ranges::count_if(service.sessions, [](const Session* s) {
              return s->is_subscribed();
            }));
  lines.Add("clients_in_timeout_table", 0);
  return lines.Take();
}

StoreStats StatsOf(const ServerState& service) {
  return service.store != nullptr ? service.store->Stats() : StoreStats();
}

std::string Percent(uint64_t part, uint64_t whole) {
  const double share =
      whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{:.2f}%", 100 * share);
}

// What is freed later.
uint64_t LazyObjects(const ServerState& service) {
  const StoreStats stats = StatsOf(service);
  return stats.removals_queued + stats.tables_queued;
}

std::string Memory(ServerState& service) {
  const MemoryFigures figures = MemoryFiguresOf(service);
  NoteMemoryPeak(service, figures);
  const uint64_t used = figures.used();
  const uint64_t resident = ResidentBytes();
  const uint64_t dataset = figures.entries + figures.values;
  Lines lines;
  lines.Add("used_memory", used);
  lines.Add("used_memory_human", HumanBytes(used));
  lines.Add("used_memory_rss", resident);
  lines.Add("used_memory_rss_human", HumanBytes(resident));
  lines.Add("used_memory_peak", service.memory_peak);
  lines.Add("used_memory_peak_human", HumanBytes(service.memory_peak));
  lines.Add("used_memory_peak_perc", Percent(used, service.memory_peak));
  lines.Add("used_memory_overhead", used - dataset);
  lines.Add("used_memory_dataset", dataset);
  lines.Add("used_memory_dataset_perc", Percent(dataset, used));
  const uint64_t all = PhysicalMemory();
  lines.Add("total_system_memory", all);
  lines.Add("total_system_memory_human", HumanBytes(all));
  lines.Add("maxmemory", figures.limit);
  lines.Add("maxmemory_human", HumanBytes(figures.limit));
  lines.Add("maxmemory_policy", "noeviction");
  const ScriptFigures& scripts = service.script_figures;
  lines.Add("used_memory_lua", scripts.interpreter_bytes);
  lines.Add("used_memory_vm_eval", scripts.interpreter_bytes);
  lines.Add("used_memory_scripts_eval", scripts.cache_bytes);
  lines.Add("used_memory_scripts", figures.scripts);
  lines.Add("used_memory_scripts_human", HumanBytes(figures.scripts));
  lines.Add("number_of_cached_scripts", scripts.cached);
  lines.Add("number_of_functions", 0);
  lines.Add("number_of_libraries", 0);
  lines.Add("mem_fragmentation_ratio",
            fmt::format("{:.2f}", used == 0 ? 0.0
                                            : static_cast<double>(resident) /
                                                  static_cast<double>(used)));
  lines.Add("mem_fragmentation_bytes",
            static_cast<int64_t>(resident) - static_cast<int64_t>(used));
  lines.Add("mem_clients_normal", figures.connections);
  lines.Add("mem_clients_slaves", 0);
  lines.Add("mem_not_counted_for_evict", 0);
  lines.Add("mem_replication_backlog", 0);
  lines.Add("mem_aof_buffer", figures.log_buffers);
  lines.Add("mem_allocator", "libc");
  lines.Add("active_defrag_running", 0);
  lines.Add("lazyfree_pending_objects", LazyObjects(service));
  // These add up to used_memory …
  lines.Add("kvd_entry_bytes", figures.entries);
  lines.Add("kvd_value_bytes", figures.values);
  lines.Add("kvd_index_bytes", figures.index);
  lines.Add("kvd_deadline_bytes", figures.deadlines);
  lines.Add("kvd_queued_bytes", figures.queued);
  lines.Add("kvd_connection_bytes", figures.connections);
  lines.Add("kvd_log_buffer_bytes", figures.log_buffers);
  lines.Add("kvd_slow_log_bytes", figures.slow_log);
  lines.Add("kvd_script_bytes", figures.scripts);
  // … and this is what the values among them may take.
  lines.Add("kvd_value_cache_bytes", figures.value_cache);
  return lines.Take();
}

// Named and computed as Redis does.
void AddLoading(const ServerState& service, Lines* lines) {
  const LoadStatus& loading = service.loading;
  lines->Add("loading_start_time", loading.started_wall_ms / 1000);
  lines->Add("loading_total_bytes", loading.progress.bytes_all);
  lines->Add("loading_loaded_bytes", loading.progress.bytes_done);
  lines->Add("loading_loaded_perc",
             fmt::format("{:.2f}", loading.PercentDone()));
  // A second when nothing is known.
  lines->Add("loading_eta_seconds",
             loading.SecondsLeft(service.NowMs()).value_or(1));
}

// Fields of a histogram; `unit` divides its values.
void AddFigures(std::string_view name, const Histogram& histogram,
                uint64_t unit, Lines* lines) {
  const auto add = [&](std::string_view which, uint64_t value) {
    lines->Add(fmt::format("kvd_{}_{}", name, which), value / unit);
  };
  add("p50", histogram.Quantile(500));
  add("p99", histogram.Quantile(990));
  add("p999", histogram.Quantile(999));
  add("max", histogram.max());
}

void AddLogFigures(const LogFigures& figures, Lines* lines) {
  const auto add_mean = [&](std::string_view name, const Histogram& histogram) {
    lines->Add(name, fmt::format("{:.2f}", histogram.mean()));
  };
  add_mean("kvd_group_records_mean", figures.group_records);
  AddFigures("group_records", figures.group_records, 1, lines);
  add_mean("kvd_group_bytes_mean", figures.group_bytes);
  AddFigures("group_bytes", figures.group_bytes, 1, lines);
  AddFigures("flush_usec", figures.flush_ns, kNsPerUs, lines);
  AddFigures("group_wait_usec", figures.wait_ns, kNsPerUs, lines);
}

std::string Persistence(ServerState& service) {
  const StoreStats stats = StatsOf(service);
  const bool loads = service.store == nullptr;
  Lines lines;
  lines.Add("loading", loads ? 1 : 0);
  lines.Add("async_loading", 0);
  lines.Add("rdb_changes_since_last_save", 0);
  lines.Add("rdb_bgsave_in_progress", 0);
  // A power cut loses nothing older than this.
  lines.Add("rdb_last_save_time", AllDurableSince(service));
  lines.Add("rdb_last_bgsave_status", "ok");
  lines.Add("rdb_last_bgsave_time_sec", -1);
  lines.Add("rdb_current_bgsave_time_sec", -1);
  lines.Add("rdb_last_cow_size", 0);
  lines.Add("aof_enabled", 1);
  const CompactionStatus compaction =
      loads ? CompactionStatus() : service.store->compaction();
  lines.Add("aof_rewrite_in_progress", compaction.running ? 1 : 0);
  lines.Add("aof_rewrite_scheduled", 0);
  lines.Add("aof_current_rewrite_time_sec", -1);
  lines.Add("aof_last_cow_size", 0);
  lines.Add("aof_pending_bio_fsync", 0);
  lines.Add("aof_delayed_fsync", 0);
  lines.Add("aof_last_rewrite_time_sec",
            compaction.runs_ended == 0 ? -1 : compaction.last_took_ms / 1000);
  lines.Add("aof_last_bgrewrite_status",
            compaction.last_error.empty() ? "ok" : "err");
  lines.Add("aof_current_size", stats.live_bytes + stats.dead_bytes);
  lines.Add("aof_buffer_length", stats.log_buffer_bytes);
  const bool lost = !loads && service.store->storage_lost();
  lines.Add("aof_last_write_status", stats.disk_full || lost ? "err" : "ok");
  lines.Add("kvd_sync", ToString(service.config.durability.sync));
  if (!loads) {
    lines.Add("kvd_log_device", service.store->write_device());
    if (const auto why = service.store->write_device_why(); !why.empty()) {
      lines.Add("kvd_log_device_why", why);
    }
    lines.Add("kvd_zeroing_limit_bytes", stats.zeroing_limit_bytes);
  }
  lines.Add("kvd_last_seq", stats.last_seq);
  lines.Add("kvd_durable_seq", stats.durable_seq);
  lines.Add("kvd_segments", stats.segments);
  lines.Add("kvd_live_bytes", stats.live_bytes);
  lines.Add("kvd_dead_bytes", stats.dead_bytes);
  lines.Add("kvd_sealed_bytes", stats.sealed_bytes);
  lines.Add("kvd_reclaimable_bytes", stats.reclaimable_bytes);
  lines.Add("kvd_compaction_runs", compaction.runs_ended);
  lines.Add("kvd_compaction_done_bytes", compaction.bytes_done);
  lines.Add("kvd_compaction_all_bytes", compaction.bytes_all);
  lines.Add("kvd_compaction_last_reclaimed_bytes",
            compaction.last_reclaimed_bytes);
  lines.Add("kvd_compaction_last_took_ms", compaction.last_took_ms);
  lines.Add("kvd_compaction_reclaimed_bytes", compaction.reclaimed_bytes);
  lines.Add("kvd_compaction_errors", compaction.errors);
  const ScrubStatus scrub = loads ? ScrubStatus() : service.store->scrub();
  lines.Add("kvd_scrub_running", scrub.running ? 1 : 0);
  lines.Add("kvd_scrub_rounds", scrub.rounds);
  lines.Add("kvd_scrub_done_bytes", scrub.bytes_done);
  lines.Add("kvd_scrub_all_bytes", scrub.bytes_all);
  lines.Add("kvd_scrub_last_ended_ms", scrub.last_ended_ms);
  lines.Add("kvd_scrub_errors", scrub.errors);
  lines.Add("kvd_damaged_segments", stats.damaged_segments);
  lines.Add("kvd_groups_written", stats.groups_written);
  lines.Add("kvd_flushes", stats.flushes);
  if (!loads) AddLogFigures(service.store->log_figures(), &lines);
  lines.Add("kvd_flush_stalled_ms", service.stats.flush_stalled_ms);
  lines.Add("kvd_disk_full", stats.disk_full ? 1 : 0);
  lines.Add("kvd_storage_lost", lost ? 1 : 0);
  lines.Add("kvd_free_disk_bytes", stats.free_disk_bytes);
  if (loads) AddLoading(service, &lines);
  return lines.Take();
}

std::string InKiB(uint64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / 1024);
}

std::string Stats(ServerState& service) {
  const ServiceStats& stats = service.stats;
  const StoreStats store = StatsOf(service);
  Lines lines;
  lines.Add("total_connections_received", stats.connections_received);
  lines.Add("total_commands_processed", stats.commands);
  lines.Add("instantaneous_ops_per_sec", stats.commands_per_s);
  lines.Add("instantaneous_input_kbps", InKiB(stats.input_bytes_per_s));
  lines.Add("instantaneous_output_kbps", InKiB(stats.output_bytes_per_s));
  lines.Add("total_net_input_bytes", stats.input_bytes);
  lines.Add("total_net_output_bytes", stats.output_bytes);
  lines.Add("rejected_connections", stats.connections_rejected);
  lines.Add("expired_keys", store.expired_keys);
  lines.Add("evicted_keys", 0);
  lines.Add("evicted_scripts", service.script_figures.evicted);
  lines.Add("keyspace_hits", stats.keyspace_hits);
  lines.Add("keyspace_misses", stats.keyspace_misses);
  const PubSub& pubsub = *service.pubsub;
  lines.Add("pubsub_channels", pubsub.topics(TopicKind::kChannel));
  lines.Add("pubsub_patterns", pubsub.topics(TopicKind::kPattern));
  lines.Add("pubsubshard_channels", pubsub.topics(TopicKind::kShard));
  lines.Add("total_forks", 0);
  lines.Add("latest_fork_usec", 0);
  lines.Add("total_net_repl_input_bytes", 0);
  lines.Add("total_net_repl_output_bytes", 0);
  lines.Add("sync_full", 0);
  lines.Add("sync_partial_ok", 0);
  lines.Add("sync_partial_err", 0);
  lines.Add("migrate_cached_sockets", 0);
  lines.Add("slave_expires_tracked_keys", 0);
  lines.Add("active_defrag_running", 0);
  lines.Add("evicted_clients", 0);
  lines.Add("total_error_replies", stats.error_replies);
  lines.Add("client_query_buffer_limit_disconnections", stats.protocol_errors);
  lines.Add("kvd_http_connections_closed", stats.http_closed);
  lines.Add("client_output_buffer_limit_disconnections",
            stats.subscribers_closed);
  lines.Add("kvd_messages_delivered", pubsub.delivered());
  lines.Add("kvd_message_bytes", pubsub.held_bytes());
  uint64_t calls[2] = {};
  for (const UsedRow& row : UsedRows(service.command_stats)) {
    const Access access = row.command->access;
    if (access == Access::kRead) calls[0] += row.stats->calls;
    if (access == Access::kWrite) calls[1] += row.stats->calls;
  }
  lines.Add("kvd_read_commands", calls[0]);
  lines.Add("kvd_write_commands", calls[1]);
  lines.Add("kvd_values_evicted", store.values_evicted);
  lines.Add("kvd_reads_at_once", store.reads_at_once);
  lines.Add("kvd_reads_waited", store.reads_waited);
  lines.Add("kvd_damaged_values", store.damaged_values);
  return lines.Take();
}

std::string Replication(ServerState&) {
  Lines lines;
  lines.Add("role", "master");
  lines.Add("connected_slaves", 0);
  lines.Add("master_failover_state", "no-failover");
  lines.Add("master_replid", std::string(40, '0'));
  lines.Add("master_replid2", std::string(40, '0'));
  lines.Add("master_repl_offset", 0);
  lines.Add("second_repl_offset", -1);
  lines.Add("repl_backlog_active", 0);
  lines.Add("repl_backlog_size", 0);
  lines.Add("repl_backlog_first_byte_offset", 0);
  lines.Add("repl_backlog_histlen", 0);
  return lines.Take();
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) / 1e6;
}

std::string Cpu(ServerState&) {
  rusage self = {};
  rusage thread = {};
  getrusage(RUSAGE_SELF, &self);
  getrusage(RUSAGE_THREAD, &thread);
  Lines lines;
  const auto add = [&](std::string_view name, const timeval& time) {
    lines.Add(name, fmt::format("{:.6f}", Seconds(time)));
  };
  add("used_cpu_sys", self.ru_stime);
  add("used_cpu_user", self.ru_utime);
  add("used_cpu_sys_children", {});
  add("used_cpu_user_children", {});
  add("used_cpu_sys_main_thread", thread.ru_stime);
  add("used_cpu_user_main_thread", thread.ru_utime);
  return lines.Take();
}

std::string CommandStatistics(ServerState& service) {
  Lines lines;
  for (const UsedRow& row : UsedRows(service.command_stats)) {
    const CommandStats& stats = *row.stats;
    const CommandTimes* times = stats.known_times();
    const auto us = times == nullptr
                        ? 0.0
                        : static_cast<double>(times->run_ns.sum()) / kNsPerUs;
    lines.Add(
        "cmdstat_" + row.name,
        fmt::format(
            "calls={},usec={:.0f},usec_per_call={:.2f},"
            "rejected_calls={},failed_calls={}",
            stats.calls, us,
            stats.calls == 0 ? 0.0 : us / static_cast<double>(stats.calls),
            stats.rejected, stats.failed));
  }
  return lines.Take();
}

std::string ErrorStatistics(ServerState& service) {
  Lines lines;
  for (const auto& [code, count] : service.errors) {
    lines.Add("errorstat_" + code, fmt::format("count={}", count));
  }
  return lines.Take();
}

std::string Percentiles(const Histogram& histogram) {
  const auto us = [&](uint64_t per_mille) {
    return static_cast<double>(histogram.Quantile(per_mille)) / kNsPerUs;
  };
  return fmt::format("p50={:.3f},p99={:.3f},p99.9={:.3f}", us(500), us(990),
                     us(999));
}

// How long commands ran, how long their replies took, and how long background
// work held the loop at a time.
std::string LatencyStatistics(ServerState& service) {
  Lines lines;
  for (const UsedRow& row : UsedRows(service.command_stats)) {
    const CommandTimes* times = row.stats->known_times();
    if (times == nullptr) continue;
    lines.Add("latency_percentiles_usec_" + row.name,
              Percentiles(times->run_ns));
    if (times->reply_ns.count() == 0) continue;
    lines.Add("kvd_reply_percentiles_usec_" + row.name,
              Percentiles(times->reply_ns));
  }
  const CompactionStatus compaction = service.store == nullptr
                                          ? CompactionStatus()
                                          : service.store->compaction();
  lines.Add("kvd_compaction_slice_usec_max", compaction.longest_slice_us);
  lines.Add("kvd_compaction_slice_records_max", compaction.largest_slice);
  return lines.Take();
}

std::string Cluster(ServerState&) {
  Lines lines;
  lines.Add("cluster_enabled", 0);
  return lines.Take();
}

std::string KeyspaceText(ServerState& service) {
  const StoreStats stats = StatsOf(service);
  Lines lines;
  for (int i = 0; i < kDatabases; ++i) {
    if (stats.keys[i] == 0) continue;
    lines.Add(
        fmt::format("db{}", i),
        fmt::format("keys={},expires={},avg_ttl={}", stats.keys[i],
                    stats.keys_with_deadline[i], service.store->MeanTtlMs(i)));
  }
  return lines.Take();
}

struct Section {
  std::string_view title;
  std::string (*text)(ServerState&);
  bool by_default;
};

constexpr Section kSections[] = {
    {"Server", Server, true},
    {"Clients", Clients, true},
    {"Memory", Memory, true},
    {"Persistence", Persistence, true},
    {"Stats", Stats, true},
    {"Replication", Replication, true},
    {"CPU", Cpu, true},
    {"Commandstats", CommandStatistics, false},
    {"Errorstats", ErrorStatistics, true},
    {"Latencystats", LatencyStatistics, false},
    {"Cluster", Cluster, true},
    {"Keyspace", KeyspaceText, true},
};

bool Wanted(std::string_view title, bool by_default,
            std::span<const std::string_view> sections) {
  if (sections.empty()) return by_default;
  return std::any_of(sections.begin(), sections.end(),
                     [&](std::string_view word) {
                       return SameWord(word, title) || IsWord(word, "ALL") ||
                              IsWord(word, "EVERYTHING") ||
                              (by_default && IsWord(word, "DEFAULT"));
                     });
}

std::string BackingText(const BackingStatus& status) {
  Lines lines;
  for (const auto& field : status.fields) {
    std::visit([&](const auto& value) { lines.Add(field.first, value); },
               field.second);
  }
  return lines.Take();
}

void AddSection(std::string_view title, const std::string& lines,
                std::string* text) {
  if (!text->empty()) *text += "\r\n";
  *text += fmt::format("# {}\r\n", title) + lines;
}

}  // namespace

int64_t AllDurableSince(const ServerState& service) {
  const Store* store = service.store;
  const bool all =
      store == nullptr || store->durable_seq() == store->last_seq();
  return all ? service.clock.WallMs() / 1000 : service.all_durable_s;
}

std::string InfoText(ServerState& service,
                     std::span<const std::string_view> sections) {
  std::string text;
  for (const Section& section : kSections) {
    if (!Wanted(section.title, section.by_default, sections)) continue;
    AddSection(section.title, section.text(service), &text);
  }
  if (service.store == nullptr) return text;
  const BackingStatus backing = service.store->Backing();
  if (!backing.title.empty() && Wanted(backing.title, true, sections)) {
    AddSection(backing.title, BackingText(backing), &text);
  }
  return text;
}

}  // namespace kvd
