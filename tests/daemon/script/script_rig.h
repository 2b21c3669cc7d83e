// SPDX-License-Identifier: MIT
//
// What tests of the interpreter inherit: scripts run against a host that
// answers from a table, on a clock that moves when it is looked at.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/script/interpreter.h"
#include "daemon/script/script_host.h"
#include "daemon/script/sha1.h"

namespace kvd {

class FakeHost final : public ScriptHost {
 public:
  bool RunCommand(std::span<const std::string_view> words, int protocol,
                  std::string* reply) override {
    std::string line;
    for (const std::string_view word : words) {
      if (!line.empty()) line += ' ';
      line += word;
    }
    calls.push_back(line);
    last_protocol = protocol;
    if (calls.size() == stop_at) return false;
    const auto found = replies.find(line);
    *reply += found != replies.end() ? found->second : "+OK\r\n";
    return true;
  }
  bool KnowsCommand(std::span<const std::string_view> words) override {
    return words[0] == "GET";
  }
  void Log(ScriptLogLevel level, std::string_view text) override {
    logged.push_back(std::to_string(static_cast<int>(level)) + " " +
                     std::string(text));
  }
  int64_t CpuNs() override { return now_ns += ns_per_look; }

  std::map<std::string, std::string> replies;
  std::vector<std::string> calls;
  std::vector<std::string> logged;
  int last_protocol = 0;
  size_t stop_at = 0;  // The call that stops the script, from 1.
  int64_t now_ns = 0;
  int64_t ns_per_look = 50'000;
};

class ScriptRig : public testing::Test {
 protected:
  // The reply, or "stopped: …".
  std::string Eval(std::string_view code,
                   const std::vector<std::string_view>& keys = {},
                   const std::vector<std::string_view>& args = {}) {
    const Sha1Text sha = Sha1(code);
    std::string out;
    ReplyWriter reply(&out, protocol_, output_bytes_);
    const ScriptCall call{.sha = View(sha),
                          .code = code,
                          .keys = keys,
                          .args = args,
                          .time_ns = time_ns_,
                          .memory_bytes = memory_bytes_};
    end_ = interpreter_.Run(call, host_, reply);
    switch (end_.stop) {
      case ScriptStop::kNone:
        return reply.overflowed() ? "too large" : out;
      case ScriptStop::kHost:
        EXPECT_EQ(out, "");
        return "stopped: host";
      case ScriptStop::kTime:
        EXPECT_EQ(out, "");
        return "stopped: time";
      case ScriptStop::kMemory:
        EXPECT_EQ(out, "");
        return "stopped: memory";
    }
    return "?";
  }
  // The value of an expression as Lua's text of it.
  std::string Show(std::string_view expression) {
    const std::string reply =
        Eval("return tostring(" + std::string(expression) + ")");
    if (!reply.starts_with('$')) return reply;
    const size_t start = reply.find("\r\n") + 2;
    return reply.substr(start, reply.size() - start - 2);
  }

  int protocol_ = 2;
  size_t output_bytes_ = 1 << 20;
  int64_t time_ns_ = 50'000'000;
  size_t memory_bytes_ = 8 << 20;
  FakeHost host_;
  Interpreter interpreter_;
  ScriptEnd end_;
};

}  // namespace kvd
