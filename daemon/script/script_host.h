// SPDX-License-Identifier: MIT
//
// What a script reaches outside of its interpreter.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kvd {

// The levels of redis.log(), by their numbers.
enum class ScriptLogLevel { kDebug, kVerbose, kNotice, kWarning };

class ScriptHost {
 public:
  virtual ~ScriptHost() = default;

  // Runs a command and appends its reply, perhaps an error, in version 2 or 3
  // of the protocol. False: the script must end at once, and nothing of it may
  // be seen.
  virtual bool RunCommand(std::span<const std::string_view> words, int protocol,
                          std::string* reply) = 0;
  // Whether there is such a command, for redis.acl_check_cmd().
  virtual bool KnowsCommand(std::span<const std::string_view> words) = 0;
  virtual void Log(ScriptLogLevel level, std::string_view text) = 0;
  // CPU time that the thread has used since some start.
  virtual int64_t CpuNs() = 0;
};

}  // namespace kvd
