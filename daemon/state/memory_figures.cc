// SPDX-License-Identifier: MIT
#include "daemon/state/memory_figures.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace kvd {

MemoryFigures MemoryFiguresOf(const ServerState& service) {
  MemoryFigures figures;
  figures.connections = service.connection_bytes();
  figures.slow_log = service.slow_log.memory_bytes();
  figures.scripts = service.script_figures.cache_bytes +
                    service.script_figures.interpreter_bytes;
  if (service.store == nullptr) return figures;
  const StoreStats stats = service.store->Stats();
  figures.entries = stats.entry_bytes - stats.value_bytes;
  figures.values = stats.value_bytes;
  figures.index = stats.index_bytes;
  figures.deadlines = stats.deadline_bytes;
  figures.queued = stats.queued_bytes;
  figures.log_buffers = stats.log_buffer_bytes;
  figures.value_cache = stats.value_cache_bytes;
  figures.limit = service.store->memory_limit_bytes();
  return figures;
}

void NoteMemoryPeak(ServerState& service, const MemoryFigures& figures) {
  service.memory_peak = std::max(service.memory_peak, figures.used());
}

uint64_t ResidentBytes() {
  uint64_t pages_all = 0;
  uint64_t pages_resident = 0;
  std::ifstream("/proc/self/statm") >> pages_all >> pages_resident;
  return pages_resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace kvd
