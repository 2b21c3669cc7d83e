// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "daemon/state/server_state.h"

namespace kvd {

// The text of INFO: the sections asked for by name, in any case; none means the
// default ones, "all" and "everything" mean all. Shows memory as it is, durable
// or not: it must answer while the disk does not. So do KV.STATUS, CLIENT LIST
// and LATENCY, which show figures and no words of commands; SLOWLOG GET and
// MEMORY wait for what they show.
std::string InfoText(ServerState& service,
                     std::span<const std::string_view> sections);

// When everything was on disk last, in seconds since the epoch.
int64_t AllDurableSince(const ServerState& service);

}  // namespace kvd
