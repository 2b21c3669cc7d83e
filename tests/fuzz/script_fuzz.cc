// SPDX-License-Identifier: MIT
//
// The input is a script; its commands are answered with its own bytes. However
// it ends, it ends within its bounds, and the next script finds everything as
// it was.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "daemon/script/interpreter.h"
#include "daemon/script/sha1.h"

namespace kvd {
namespace {

constexpr size_t kMemoryBytes = 4 << 20;
constexpr size_t kOutputBytes = 1 << 20;
constexpr int64_t kTimeNs = 2'000'000;
constexpr int kCallsMax = 100;

class Host final : public ScriptHost {
 public:
  bool RunCommand(std::span<const std::string_view> words, int protocol,
                  std::string* reply) override {
    ReplyWriter writer(reply, protocol);
    writer.ArrayHeader(words.size());
    for (const std::string_view word : words) writer.Bulk(word);
    return ++calls_ < kCallsMax;
  }
  bool KnowsCommand(std::span<const std::string_view>) override { return true; }
  void Log(ScriptLogLevel, std::string_view) override {}
  // Moves when it is looked at, so that inputs end the same way each time.
  int64_t CpuNs() override { return now_ns_ += 50'000; }

 private:
  int calls_ = 0;
  int64_t now_ns_ = 0;
};

std::string Run(Interpreter& interpreter, std::string_view code) {
  Host host;
  std::string out;
  ReplyWriter reply(&out, 3, kOutputBytes);
  const Sha1Text sha = Sha1(code);
  const std::string_view words[] = {"a", "b"};
  const ScriptEnd end = interpreter.Run({.sha = View(sha),
                                         .code = code,
                                         .keys = words,
                                         .args = words,
                                         .time_ns = kTimeNs,
                                         .memory_bytes = kMemoryBytes},
                                        host, reply);
  KVD_CHECK(end.stop == ScriptStop::kNone || out.empty());
  KVD_CHECK(out.size() <= kOutputBytes);
  return out;
}

}  // namespace
}  // namespace kvd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static kvd::Interpreter interpreter;
  kvd::Run(interpreter, {reinterpret_cast<const char*>(data), size});
  KVD_CHECK(
      kvd::Run(interpreter, "return {('x'):rep(2), redis.sha1hex('')} ") ==
      "*2\r\n$2\r\nxx\r\n"
      "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
  return 0;
}
