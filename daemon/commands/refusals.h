// SPDX-License-Identifier: MIT
//
// What a client is answered instead of an effect that its command cannot have.
// Nothing was changed then. Thread: loop.
#pragma once

#include <string>

#include "daemon/commands/table.h"

namespace kvd {

// Why a command that ran is answered with this error instead of what its
// handler wrote; empty if it is not.
std::string RefusalOf(const Call& call, const ColdValues& cold);
// Whether it is.
inline bool IsRefused(const Call& call, const ColdValues& cold) {
  if (call.reply.overflowed() || cold.error()) return true;
  if (call.op == nullptr) return false;
  const Room room = call.op->blocked();
  return room != Room::kReady && room != Room::kWait;
}
// kReady and kWait have none.
std::string NoRoomText(Room room, const Store& store);
// What an error that says that memory is full goes on with.
std::string MemoryFullAdvice(const Store& store);

}  // namespace kvd
