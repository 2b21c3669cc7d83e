// SPDX-License-Identifier: MIT
#include "daemon/commands/refusals.h"

#include <fmt/format.h>

#include "config/units.h"

namespace kvd {
namespace {

// Why a value on disk was not read. Nothing was changed.
std::string UnreadableText(const Error& error) {
  const bool damaged = error.code() != ErrorCode::kInvalid &&
                       error.code() != ErrorCode::kResources;
  return fmt::format("{} {}; nothing was changed{}",
                     damaged ? "DAMAGED" : "ERR", error.message(),
                     damaged
                         ? ". Other keys are not affected, and this one can "
                           "be set anew or deleted"
                         : "");
}

// The answer instead of a reply that is too large. Nothing was changed.
std::string ReplyTooLargeText(const Call& call) {
  return fmt::format(
      "ERR the reply takes {} bytes or more, and limits.output_bytes is {}; "
      "nothing was changed. Ask for less at once",
      call.reply.wanted_bytes(),
      FormatSize(call.service.config.limits.output_bytes));
}

}  // namespace

std::string MemoryFullAdvice(const Store& store) {
  return fmt::format(
      "{} of {} are used (memory.limit); nothing was changed. Reads, deletes "
      "and writes that do not grow go on",
      FormatSize(store.memory_bytes()), FormatSize(store.memory_limit_bytes()));
}

std::string NoRoomText(Room room, const Store& store) {
  switch (room) {
    case Room::kReady:
    case Room::kWait:
      return {};
    case Room::kDiskFull:
      return "DISKFULL the disk has no room for this write; nothing was "
             "changed. Deleting keys works, and writes resume by themselves "
             "when there is room";
    case Room::kTooLarge:
      return store.WhyTooLarge();
    case Room::kMemoryFull:
      // Clients know it by its first words. Source: Redis.
      return fmt::format(
          "OOM command not allowed when used memory > 'maxmemory'. {}",
          MemoryFullAdvice(store));
    case Room::kLost:
      return fmt::format(
          "IOERR {}; nothing was changed, and no write is taken any more. "
          "Reads go on for a while: copy what is needed",
          store.failure()->message());
  }
  return {};
}

std::string RefusalOf(const Call& call, const ColdValues& cold) {
  if (call.reply.overflowed()) return ReplyTooLargeText(call);
  if (cold.error()) return UnreadableText(*cold.error());
  if (call.op == nullptr) return {};
  return NoRoomText(call.op->blocked(), *call.service.store);
}

}  // namespace kvd
