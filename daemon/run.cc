// SPDX-License-Identifier: MIT
#include "daemon/run.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <tuple>
#include <vector>

#include "backup/backup_reader.h"
#include "base/allocator.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "config/units.h"
#include "daemon/config_check.h"
#include "daemon/host/logging.h"
#include "daemon/host/memory_share.h"
#include "daemon/host/notify.h"
#include "daemon/loop/event_loop.h"
#include "daemon/loop/listener.h"
#include "daemon/loop/pool_executor.h"
#include "daemon/options.h"
#include "daemon/server.h"
#include "daemon/store_opener.h"
#include "fs/input_file.h"
#include "fs/posix_file_system.h"
#include "log/format/manifest.h"
#include "store/restore.h"
#include "store/store.h"
#include "store/verify.h"

namespace kvd {
namespace {

// Sockets and files are kvd's and its group's alone until a setting says more.
constexpr mode_t kUmask = 0077;
// What the process holds open beside clients and the store's files: the
// standard streams, epoll, eventfds, listening sockets, lock.
constexpr int64_t kOwnDescriptors = 32;
// Of them, those that the loop and its helpers open, which cannot report that
// there are none.
constexpr size_t kEarlyDescriptors = 12;
// Segments that are kept open for reading values: a share of the descriptors,
// of which each takes two, for reads through the page cache and past it.
constexpr int64_t kReadFilesShare = 8;
constexpr int64_t kDescriptorsPerReadFile = 2;
// Of few descriptors, no larger share is reserved for root.
constexpr int64_t kReservedShareMin = 4;
constexpr int64_t kReadFilesMin = 4;
constexpr int64_t kReadFilesMax = 256;

// Clients of a store that loads faster wait for it, and never hear LOADING:
// most take that for a failure, and under socket activation the first client of
// each start would hear it.
constexpr int64_t kQuietLoadingMs = 500;

void IgnoreSignals() {
  // A write beyond RLIMIT_FSIZE or to a client that left is answered with an
  // error, not with a signal; a closed terminal is no reason to stop.
  for (const int number : {SIGPIPE, SIGXFSZ, SIGHUP}) {
    std::signal(number, SIG_IGN);
  }
}

Result<void> CheckDescriptors() {
  std::array<UniqueFd, kEarlyDescriptors> opened;
  for (UniqueFd& fd : opened) {
    fd = UniqueFd(eventfd(0, EFD_CLOEXEC));
    if (!fd) {
      return Unexpected(Error::FromErrno(
          errno, fmt::format("kvd needs {} descriptors to start (ulimit -n, "
                             "LimitNOFILE=)",
                             kOwnDescriptors)));
    }
  }
  return {};
}

// Who gets how many descriptors.
struct Descriptors {
  int64_t read_files;
  ConnectionBounds connections;
};

// Raises the limit as far as allowed, and shares it out.
Descriptors ShareDescriptors(const Config::Limits& limits) {
  rlimit allowed = {};
  if (getrlimit(RLIMIT_NOFILE, &allowed) == 0) {
    allowed.rlim_cur = allowed.rlim_max;
    setrlimit(RLIMIT_NOFILE, &allowed);
  }
  if (getrlimit(RLIMIT_NOFILE, &allowed) != 0 ||
      allowed.rlim_cur == RLIM_INFINITY) {
    return {kReadFilesMax, {limits.connections, limits.reserved_connections}};
  }
  const auto all = static_cast<int64_t>(allowed.rlim_cur);
  const int64_t read_files =
      std::clamp(all / kReadFilesShare / kDescriptorsPerReadFile, kReadFilesMin,
                 kReadFilesMax);
  const int64_t left =
      std::max<int64_t>(all - kOwnDescriptors - limits.reserved_descriptors -
                            kDescriptorsPerReadFile * read_files,
                        1);
  const int64_t reserved =
      std::min(limits.reserved_connections, left / kReservedShareMin);
  const int64_t fit = left - reserved;
  if (fit < limits.connections) {
    LogWarning("only {} descriptors allowed: {} connections instead of {}", all,
               fit, limits.connections);
  }
  return {read_files, {std::min(fit, limits.connections), reserved, fit}};
}

uint64_t InMiB(uint64_t bytes) { return bytes >> 20; }

void LogShares(uint64_t available, const MemoryBounds& memory,
               const Descriptors& descriptors) {
  if (memory.capped) {
    LogWarning(
        "memory.limit leaves {} MiB for values, less than "
        "memory.value_cache",
        InMiB(memory.value_cache));
  }
  LogInfo(
      "{} MiB of memory: {} for values, {}; {} descriptors for clients, {} for "
      "reading values",
      InMiB(available), InMiB(memory.value_cache),
      memory.limit == 0 ? "no limit"
                        : fmt::format("{} for all", InMiB(memory.limit)),
      descriptors.connections.clients + descriptors.connections.reserved,
      descriptors.read_files);
}

using Sockets = std::vector<std::unique_ptr<ListeningSocket>>;

// The manager's sockets, or one of our own. Clients find it from now on.
Result<Sockets> OpenSockets(const Config& config,
                            const std::vector<int>& passed) {
  Sockets sockets;
  for (const int fd : passed) {
    KVD_TRY_ASSIGN(auto socket, ListeningSocket::Adopt(UniqueFd(fd)));
    sockets.push_back(std::move(socket));
  }
  if (sockets.empty()) {
    KVD_TRY_ASSIGN(auto socket, ListeningSocket::Bind(config.socket));
    KVD_TRY(socket->Publish());
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

StoreOptions StoreOptionsOf(const Config& config, const MemoryBounds& memory,
                            const Descriptors& descriptors,
                            const StoreOptions::OnProgress& on_progress) {
  const StoreTuning tuning = TuningOf(config, memory);
  StoreOptions options;
  options.value_cache_bytes = tuning.value_cache_bytes;
  options.memory_limit_bytes = tuning.memory_limit_bytes;
  options.compaction = tuning.compaction;
  options.scrub = tuning.scrub;
  options.backup_stall_timeout_ms = tuning.backup_stall_timeout_ms;
  options.backup_rate_bytes_per_s = tuning.backup_rate_bytes_per_s;
  options.cold_bytes_max = config.limits.output_bytes;
  options.read_files_max = static_cast<size_t>(descriptors.read_files);
  options.sync = config.durability.sync;
  options.sync_interval_ms = config.durability.interval_ms;
  options.write_device = config.log.device;
  options.gathers = true;
  options.idle_declare_ms = config.durability.declare_after_ms;
  options.look_interval_ms = config.durability.look_interval_ms;
  options.segment_bytes = config.log.segment_bytes;
  // Beside the one that loads; hardware_concurrency() may know nothing.
  options.load_threads =
      std::max(static_cast<int>(std::thread::hardware_concurrency()) - 1, 0);
  options.open_group_bytes_max = config.limits.open_group_bytes;
  options.log = [](Severity severity, const std::string& message) {
    Log(severity, message);
  };
  options.on_progress = on_progress;
  return options;
}

// The id that the directory has, made if it has none.
Result<std::string> IdOf(Directory& directory) {
  constexpr std::string_view kName = "ID";
  constexpr std::string_view kNewName = "ID.tmp";
  constexpr size_t kIdBytes = 16;
  std::string id(kIdBytes, '\0');
  if (const auto file = directory.Open(kName, Directory::OpenMode::kRead)) {
    KVD_TRY_ASSIGN(const size_t got, (*file)->ReadAt(0, id));
    if (got == kIdBytes) return id;
  }
  id = fmt::format("{:016x}", RandomU64());
  std::ignore = directory.Remove(kNewName);
  KVD_TRY_ASSIGN(const auto file, directory.Create(kNewName));
  KVD_TRY(file->WriteAt(0, id));
  KVD_TRY(file->Sync());
  KVD_TRY(directory.Rename(kNewName, kName));
  KVD_TRY(directory.Sync());
  return id;
}

// Otherwise a setting would seem to have lost them.
void WarnOfDataHere(Directory& directory, const Config& config) {
  if (!directory.Open(kManifestName, Directory::OpenMode::kRead)) return;
  LogWarning(
      "the keys that {} has are not used: storage.backend is \"{}\". To move "
      "them there, start a kvd with \"local\" and see kvctl migrate --help",
      config.data_dir, config.storage.backend);
}

Result<std::unique_ptr<Store>> OpenShared(const Config& config,
                                          Directory& directory,
                                          const MemoryBounds& memory,
                                          OpenSharedStore open, Clock& clock,
                                          Wake wake,
                                          const OnLoadProgress& on_progress) {
  WarnOfDataHere(directory, config);
  KVD_TRY_ASSIGN(std::string id, IdOf(directory));
  const SharedStoreOptions options = {
      config, memory.limit, std::move(id),
      [](Severity severity, const std::string& message) {
        Log(severity, message);
      }};
  return LoadShared(open, options, clock, std::move(wake), on_progress);
}

void LogRecovery(const Store& store, std::string_view backend) {
  const RecoveryReport& report = store.recovery();
  if (report.created) return LogInfo("made a new store");
  const StoreStats stats = store.Stats();
  uint64_t keys = 0;
  for (const uint64_t count : stats.keys) keys += count;
  if (backend != kLocalBackend) {
    return LogInfo("loaded {} keys from {}, revision {}", keys, backend,
                   stats.last_seq);
  }
  LogInfo(
      "loaded {} keys: {} records of {} segments, revision {}, after {} "
      "stop",
      keys, report.records, report.segments, report.last_seq,
      report.clean_stop ? "a clean" : "an unclean");
}

ExitCode Refuse(const Error& error, ExitCode code) {
  LogError("{}", error.message());
  return code;
}

// What CheckConfig() refuses, or what a later start may find mended.
ExitCode RefuseSetting(const Error& error) {
  return Refuse(error, error.code() == ErrorCode::kInvalid
                           ? ExitCode::kUsage
                           : ExitCode::kCannotStart);
}

// Settings that only what is elsewhere shows to be wrong are no better after a
// restart.
ExitCode RefuseShared(const Error& error) {
  return Refuse(error, error.code() == ErrorCode::kInvalid ? ExitCode::kUsage
                                                           : ExitCodeOf(error));
}

void WarnOfOwner(const std::string& data_dir) {
  struct stat info;
  if (stat(data_dir.c_str(), &info) != 0) return;
  if (info.st_uid == 0 || info.st_uid == geteuid()) return;
  LogWarning(
      "data directory {} belongs to user {}, who can replace the data; kvd "
      "runs as user {}",
      data_dir, info.st_uid, geteuid());
}

// Opens the store while `server` answers clients. Null when the server has
// ended before that, as it was told to.
Result<std::unique_ptr<Store>> Load(Server& server, EventLoop& loop,
                                    StoreOpener::Open open) {
  StoreOpener loader(
      loop, std::move(open),
      [&server](const LoadProgress& progress) {
        server.ShowProgress(progress);
        if (server.loading()) notify::Loading(progress);
      },
      [&loop] { loop.Stop(); });
  Timer patience(loop, [&server] { server.Listen(); });
  patience.Start(kQuietLoadingMs);
  server.Run();
  if (server.loading()) return loader.TakeStore();
  // The loop may have been stopped in the middle of the server's stop.
  server.Run();
  loader.GiveUp();
  LogInfo("gave up loading");
  return nullptr;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kFreesAll = true;  // So that what is lost by mistake is seen.
#else
constexpr bool kFreesAll = false;
#endif

// The process is about to end: to free the entries one by one, as many as there
// may be, would only keep the next one waiting for the lock.
struct LeaveToTheSystem {
  void operator()(Store* store) const {
    if (kFreesAll || !store->stopped()) delete store;
  }
};

// Everything below is destroyed from the bottom up: the server closes its
// sockets before the store ends, the store ends before its threads, and the
// lock on the directory is released last.
ExitCode Serve(const Settings& settings, OpenSharedStore open_shared,
               EventLoop& loop, LoopWaker& waker, StopSignals& signals) {
  const Config& config = settings.config;
  const std::vector<int> passed = notify::PassedSockets();
  // With passed sockets those of the configuration do not matter.
  if (const auto checked = CheckConfig(config); passed.empty() && !checked) {
    return RefuseSetting(checked.error());
  }
  auto directory = OpenPosixDirectory(config.data_dir,
                                      {.create = true, .private_only = true});
  if (!directory) return RefuseSetting(directory.error());
  WarnOfOwner(config.data_dir);
  if (const auto locked = (*directory)->Lock(); !locked) {
    return Refuse(locked.error(), ExitCodeOf(locked.error()));
  }
  auto sockets = OpenSockets(config, passed);
  if (!sockets) return RefuseSetting(sockets.error());
  const std::string path = sockets->front()->path();

  ThreadExecutor slow_work("kvd-prepare");
  ThreadExecutor maintenance("kvd-maintain");
  PoolExecutor reads(loop);
  SystemClock clock;
  const Descriptors descriptors = ShareDescriptors(config.limits);
  const uint64_t available = AvailableMemory();
  const MemoryBounds memory = BoundsOf(config.memory, available);
  LogShares(available, memory, descriptors);
  std::unique_ptr<Store, LeaveToTheSystem> store;
  Server server(loop, waker, signals, clock, config, descriptors.connections,
                std::move(*sockets));
  server.set_config_file(settings.file);
  const bool is_shared = config.storage.backend != kLocalBackend;
  auto loaded = Load(server, loop, [&](const auto& on_progress) {
    if (is_shared) {
      return OpenShared(config, **directory, memory, open_shared, clock,
                        waker.wake(), on_progress);
    }
    return Store::Open(**directory,
                       StoreOptionsOf(config, memory, descriptors, on_progress),
                       {slow_work, maintenance, reads}, clock, waker.wake());
  });
  if (!loaded) {
    return is_shared ? RefuseShared(loaded.error())
                     : Refuse(loaded.error(), ExitCodeOf(loaded.error()));
  }
  store.reset(loaded->release());
  if (store == nullptr) return server.exit_code();
  LogRecovery(*store, config.storage.backend);
  server.Serve(*store);
  LogInfo("ready: socket {}, data directory {}, sync {}", path, config.data_dir,
          ToString(config.durability.sync));
  notify::Ready("Serving");
  return server.Run();
}

}  // namespace

ExitCode RunDaemon(const Settings& settings,
                   const std::vector<std::string>& remarks,
                   OpenSharedStore open_shared) {
  SetUpAllocator();
  IgnoreSignals();
  umask(kUmask);
  SetUpLogging(settings.config.logging.level);
  LogInfo("kvd {} starts", kVersion);
  for (const std::string& remark : remarks) LogInfo("{}", remark);
  if (const auto enough = CheckDescriptors(); !enough) {
    return Refuse(enough.error(), ExitCode::kCannotStart);
  }
  EventLoop loop;
  LoopWaker waker(loop);
  StopSignals signals(loop);
  const ExitCode code = Serve(settings, open_shared, loop, waker, signals);
  if (code == ExitCode::kStopped) LogInfo("stopped; everything is on disk");
  return code;
}

namespace {

ExitCode FailCommand(const Error& error) {
  std::fprintf(stderr, "kvd: %s\n", error.message().c_str());
  return ExitCodeOf(error);
}

// A line on a terminal, and nothing elsewhere.
class PercentLine {
 public:
  ~PercentLine() {
    if (shown_ >= 0) std::fprintf(stderr, "\r\x1b[K");
  }
  void Show(uint64_t done, uint64_t all) {
    const auto percent = static_cast<int>(done * 100 / std::max(all, done));
    if (percent == shown_ || isatty(STDERR_FILENO) == 0) return;
    shown_ = percent;
    std::fprintf(stderr, "\r%3d%% of %s", percent, FormatSize(all).c_str());
  }

 private:
  int shown_ = -1;
};

}  // namespace

ExitCode RunVerify(const std::string& path) {
  IgnoreSignals();
  auto directory = OpenPosixDirectory(path, {.read_only = true});
  if (!directory) return FailCommand(directory.error());
  if (const auto locked = (*directory)->Lock(); !locked) {
    return FailCommand(locked.error());
  }
  const auto report = VerifyDirectory(
      **directory,
      [](const std::string& damage) { std::printf("%s\n", damage.c_str()); });
  if (!report) return FailCommand(report.error());
  if (report->torn_bytes > 0) {
    std::printf("torn tail of %s, which the next start cuts\n",
                FormatSize(report->torn_bytes).c_str());
  }
  std::printf(
      "%s: %llu segments, %llu records, %llu bytes read, %llu damaged "
      "places\n",
      path.c_str(), static_cast<unsigned long long>(report->segments),
      static_cast<unsigned long long>(report->records),
      static_cast<unsigned long long>(report->bytes),
      static_cast<unsigned long long>(report->damages));
  if (report->damages == 0) return Printed(ExitCode::kStopped);
  std::printf(
      "Restore a backup, or make a new store of all that can be read:\n"
      "  kvd salvage %s NEWDIR\n",
      path.c_str());
  return Printed(ExitCode::kDamage);
}

ExitCode RunRestore(const std::vector<std::string>& backups,
                    const std::string& path) {
  IgnoreSignals();
  umask(kUmask);
  std::vector<InputFile> files;
  files.reserve(backups.size());
  BackupChain chain;
  for (const std::string& backup : backups) {
    auto file = InputFile::Open(backup);
    if (!file) return FailCommand(file.error());
    files.push_back(std::move(*file));
    auto reader = BackupReader::Open(
        files.back().name(), [file = &files.back()](std::span<char> out) {
          return file->Read(out);
        });
    if (!reader) return FailCommand(reader.error());
    chain.push_back(std::move(*reader));
  }
  // Before the directory is made.
  if (const auto checked = CheckBackups(chain); !checked) {
    return FailCommand(checked.error());
  }
  auto directory =
      OpenPosixDirectory(path, {.create = true, .private_only = true});
  if (!directory) return FailCommand(directory.error());
  if (const auto locked = (*directory)->Lock(); !locked) {
    return FailCommand(locked.error());
  }
  PercentLine percent;
  const auto report = RestoreBackups(
      **directory, chain,
      [&](uint64_t done, uint64_t all) { percent.Show(done, all); });
  if (!report) return FailCommand(report.error());
  std::printf(
      "%s: restored revision %llu: %llu segments, %llu records, %llu bytes, "
      "all "
      "verified; later revisions are above %llu\n",
      path.c_str(), static_cast<unsigned long long>(report->revision),
      static_cast<unsigned long long>(report->segments),
      static_cast<unsigned long long>(report->records),
      static_cast<unsigned long long>(report->bytes),
      static_cast<unsigned long long>(report->floor));
  return Printed(ExitCode::kStopped);
}

}  // namespace kvd
