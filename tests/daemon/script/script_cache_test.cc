// SPDX-License-Identifier: MIT
#include "daemon/script/script_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace kvd {
namespace {

std::string Hex(std::string_view bytes) {
  return std::string(View(Sha1(bytes)));
}

TEST(Sha1, FollowsTheStandard) {
  EXPECT_EQ(Hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Hex("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  EXPECT_EQ(Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(Hex(std::string(1'000'000, 'a')),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

Script Parsed(std::string_view body) {
  return *ParseScript(*NameScript(body), body);
}

TEST(ParseScript, ReadsTheFirstLine) {
  EXPECT_FALSE(Parsed("return 1").flags.given);
  const Script script = Parsed("#!lua flags=no-writes,allow-oom\nreturn 1");
  EXPECT_TRUE(script.flags.given);
  EXPECT_TRUE(script.flags.no_writes);
  EXPECT_EQ(script.code(), "\nreturn 1");
  EXPECT_FALSE(Parsed("#!lua\nreturn 1").flags.no_writes);
  EXPECT_FALSE(Parsed("#!lua flags=\nreturn 1").flags.no_writes);
  const auto error = [](std::string_view body) {
    return ParseScript(Sha1(body), body).error().message();
  };
  EXPECT_EQ(error("#!lua"), "Invalid script shebang");
  EXPECT_EQ(error("#!py\nx"), "Unexpected engine in script shebang: #!py");
  EXPECT_EQ(error("#! lua\nx"), "Unexpected engine in script shebang: #!");
  EXPECT_EQ(error("#!lua flags=fast\n"),
            "Unexpected flag in script shebang: fast");
  EXPECT_EQ(error("#!lua name=x\n"), "Unknown lua shebang option: name=x");
}

TEST(ParseScript, TheLargestIsBounded) {
  const std::string script(kScriptBytesMax, ' ');
  EXPECT_EQ(View(*NameScript(script)), Hex(script));
  EXPECT_EQ(NameScript(script + ' ').error().message(),
            "the script has 1048577 bytes, and the largest has 1MiB; pass data "
            "as arguments");
}

TEST(ScriptCache, KeepsTheScriptsThatWereUsedLast) {
  ScriptCache cache;
  const std::string first = "return 0";
  for (size_t i = 0; i < ScriptCache::kEvalScriptsMax; ++i) {
    cache.Add(Parsed("return " + std::to_string(i)));
  }
  EXPECT_EQ(cache.evicted(), 0u);
  EXPECT_NE(cache.Find(Hex(first)), nullptr);  // Now the last one used.
  cache.Add(Parsed("return -1"));
  EXPECT_EQ(cache.evicted(), 1u);
  EXPECT_TRUE(cache.Has(Hex(first)));
  EXPECT_FALSE(cache.Has(Hex("return 1")));
  EXPECT_EQ(cache.size(), ScriptCache::kEvalScriptsMax);
}

TEST(ScriptCache, LoadedScriptsStay) {
  ScriptCache cache;
  cache.Add(Parsed("return 'loaded'"));
  ASSERT_TRUE(cache.Load(Hex("return 'loaded'")).ok());
  ASSERT_TRUE(cache.Load(Hex("return 'loaded'")).ok());
  for (size_t i = 0; i < ScriptCache::kEvalScriptsMax + 1; ++i) {
    cache.Add(Parsed("return " + std::to_string(i)));
  }
  EXPECT_TRUE(cache.Has(Hex("return 'loaded'")));
  EXPECT_FALSE(cache.Has(Hex("return 0")));
  cache.Clear();
  EXPECT_FALSE(cache.Has(Hex("return 'loaded'")));
  EXPECT_EQ(cache.memory_bytes(), 0u);
}

// One of the largest, by a name of its own.
Script Large(int number) {
  return {.sha = Sha1(std::to_string(number)),
          .body = std::string(kScriptBytesMax, ' ')};
}

TEST(ScriptCache, BytesAreBounded) {
  constexpr size_t kOther = 64 << 10;
  ScriptCache cache;
  for (int i = 0; i < 40; ++i) {
    cache.Add(Large(i));
    ASSERT_LE(cache.memory_bytes(), ScriptCache::kEvalBytesMax + kOther);
  }
  EXPECT_TRUE(cache.Has(Hex("39")));
  bool refused = false;
  for (int i = 100; i < 200 && !refused; ++i) {
    cache.Add(Large(i));
    refused = !cache.Load(Hex(std::to_string(i))).ok();
  }
  EXPECT_TRUE(refused);
  EXPECT_LE(cache.memory_bytes(),
            ScriptCache::kEvalBytesMax + ScriptCache::kLoadedBytesMax + kOther);
}

// Short ones take more than their bytes.
TEST(ScriptCache, NumbersOfLoadedScriptsAreBounded) {
  ScriptCache cache;
  bool refused = false;
  for (int i = 0; i < 300'000 && !refused; ++i) {
    const Script script = {.sha = Sha1(std::to_string(i)), .body = "x"};
    cache.Add(script);
    refused = !cache.Load(View(script.sha)).ok();
  }
  EXPECT_TRUE(refused);
  EXPECT_LE(cache.memory_bytes(),
            ScriptCache::kEvalBytesMax + ScriptCache::kLoadedBytesMax);
  // Those of EVAL still make room for each other.
  cache.Add(Large(-1));
  for (size_t i = 0; i < ScriptCache::kEvalScriptsMax; ++i) {
    cache.Add(Parsed("return " + std::to_string(i)));
  }
  EXPECT_FALSE(cache.Has(Hex("-1")));
  EXPECT_TRUE(cache.Has(Hex("0")));
}

}  // namespace
}  // namespace kvd
