// SPDX-License-Identifier: MIT
//
// What can be tested without etcd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "etcd/certificates.h"
#include "etcd/choice.h"
#include "etcd/client.h"
#include "etcd/endpoint.h"
#include "etcd/errors.h"
#include "etcd/revision_groups.h"
#include "etcd/wire.h"
#include "fmt/format.h"
#include "tests/support/temp_dir.h"

namespace kvd::etcd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PrefixEnd, IsTheFirstKeyBehindThePrefix) {
  EXPECT_EQ(PrefixEnd("kvd/"), "kvd0");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff"), std::string(1, '\0'));
  EXPECT_EQ(PrefixEnd(""), std::string(1, '\0'));
}

TEST(Endpoint, IsAUrlWithAHost) {
  struct Case {
    const char* text;
    const char* target;
    bool tls;
  };
  for (const Case& one : {
           Case{"http://127.0.0.1:2379", "dns:///127.0.0.1:2379", false},
           Case{"https://a-1.example.org:1", "dns:///a-1.example.org:1", true},
           Case{"http://etcd", "dns:///etcd:2379", false},
           Case{"http://etcd/", "dns:///etcd:2379", false},
           Case{"https://[::1]:65535", "dns:///[::1]:65535", true},
           Case{"http://[fe80::1]", "dns:///[fe80::1]:2379", false},
           Case{"http://[::ffff:1.2.3.4]:1", "dns:///[::ffff:1.2.3.4]:1",
                false},
       }) {
    SCOPED_TRACE(one.text);
    const Result<Endpoint> endpoint = ParseEndpoint(one.text);
    ASSERT_TRUE(endpoint.ok());
    EXPECT_EQ(endpoint->Target(), one.target);
    EXPECT_EQ(endpoint->tls, one.tls);
    EXPECT_EQ(endpoint->name, one.text);
  }
}

TEST(Endpoint, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "http://",
                           "https:///",
                           "127.0.0.1:2379",
                           "unix:///run/etcd",
                           "http://a:0",
                           "http://a:65536",
                           "http://a:",
                           "http://a:1x",
                           "http://a:-1",
                           "http://a/v3",
                           "http://u@a:1",
                           "http://a:1:2",
                           "http://[::1",
                           "http://[]:1",
                           "http://[::1]1",
                           "http://a b",
                           "HTTP://a",
                           "http://::1:1",
                           "http://[a]",
                           "http://[1.2.3.4]:1",
                           "http://[:::]",
                           "http://a//"}) {
    SCOPED_TRACE(text);
    const Result<Endpoint> endpoint = ParseEndpoint(text);
    ASSERT_FALSE(endpoint.ok());
    EXPECT_EQ(endpoint.error().code(), ErrorCode::kInvalid);
    EXPECT_THAT(endpoint.error().message(),
                HasSubstr(fmt::format("\"{}\"", text)));
  }
}

TEST(Connect, RefusesWhatItCannotUse) {
  const Wake wake([] {});
  EXPECT_FALSE(Connect({}, wake).ok());
  EXPECT_FALSE(Connect({.endpoints = {"http://a", "b"}}, wake).ok());
  for (const char* same : {"http://a", "http://a:2379/", "https://a"}) {
    const Result<void> checked =
        Check({.endpoints = {"http://a", "http://b", same}});
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().message(),
              fmt::format("the etcd endpoints \"http://a\" and \"{}\" are one: "
                          "name each member once",
                          same));
  }
  // Files are read for https alone.
  const CertificateFiles missing{.ca = "/nonexistent/ca"};
  EXPECT_TRUE(
      Connect({.endpoints = {"http://a"}, .certificates = missing}, wake).ok());
  EXPECT_FALSE(
      Connect({.endpoints = {"https://a"}, .certificates = missing}, wake)
          .ok());
}

class CertificatesTest : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    std::ofstream(dir_.Path(name)) << text;
    return dir_.Path(name);
  }
  // The message of the error.
  static std::string Refusal(const CertificateFiles& files) {
    const Result<Certificates> read = ReadCertificates(files);
    return read.ok() ? "" : read.error().message();
  }

  const std::string kCert = "-----BEGIN CERTIFICATE-----\n";
  const std::string kKey = "-----BEGIN PRIVATE KEY-----\n";
  TempDir dir_;
};

TEST_F(CertificatesTest, AreRead) {
  const Result<Certificates> read = ReadCertificates(
      {File("ca", kCert), File("cert", kCert + "1"), File("key", kKey)});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->ca, kCert);
  EXPECT_EQ(read->cert, kCert + "1");
  EXPECT_EQ(read->key, kKey);
}

TEST_F(CertificatesTest, ErrorsNameTheFileAndTheReason) {
  const std::string ca = File("ca", kCert);
  EXPECT_THAT(Refusal({.ca = "/nonexistent"}),
              HasSubstr("/nonexistent: No such file"));
  EXPECT_THAT(Refusal({.ca = File("x", "x")}), HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_THAT(Refusal({.ca = dir_.path()}), HasSubstr(dir_.path()));
  EXPECT_THAT(Refusal({ca, ca, ""}), HasSubstr("needs both files"));
  EXPECT_THAT(Refusal({ca, "", ca}), HasSubstr("needs both files"));
  EXPECT_THAT(Refusal({ca, ca, ca}), HasSubstr("PRIVATE KEY"));
  for (const char* encrypted :
       {"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"}) {
    EXPECT_THAT(Refusal({ca, ca, File("key", encrypted)}),
                HasSubstr("is encrypted"));
  }
}

TEST(Judge, KnowsWhatMayHaveBeenDone) {
  using Code = grpc::StatusCode;
  struct Case {
    Code code;
    const char* message;
    ErrorCode expected;
    bool ask_again;
  };
  constexpr ErrorCode kUnknown = ErrorCode::kTimeout;
  for (const Case& one : {
           // Nobody knows.
           Case{Code::UNAVAILABLE, "etcdserver: request timed out", kUnknown,
                false},
           Case{Code::UNAVAILABLE,
                "etcdserver: request timed out, possibly due to previous "
                "leader failure",
                kUnknown, false},
           Case{Code::UNAVAILABLE, "etcdserver: leader changed", kUnknown,
                false},
           Case{Code::UNAVAILABLE, "etcdserver: server stopped", kUnknown,
                false},
           Case{Code::UNAVAILABLE, "Socket closed", kUnknown, false},
           Case{Code::DEADLINE_EXCEEDED, "Deadline Exceeded", kUnknown, false},
           Case{Code::CANCELLED, "CANCELLED", kUnknown, false},
           Case{Code::UNKNOWN, "context deadline exceeded", kUnknown, false},
           Case{Code::INTERNAL, "", kUnknown, false},
           Case{Code::RESOURCE_EXHAUSTED, "", kUnknown, false},
           // It was not done.
           Case{Code::UNAVAILABLE, "etcdserver: no leader",
                ErrorCode::kUnavailable, true},
           Case{Code::UNKNOWN, "raft proposal dropped", ErrorCode::kUnavailable,
                true},
           Case{Code::RESOURCE_EXHAUSTED, "etcdserver: too many requests",
                ErrorCode::kUnavailable, true},
           Case{Code::INVALID_ARGUMENT,
                "etcdserver: revision of auth store is old",
                ErrorCode::kUnavailable, true},
           Case{Code::UNAVAILABLE,
                "failed to connect to all addresses; last error: …",
                ErrorCode::kUnavailable, true},
           // It was refused.
           Case{Code::RESOURCE_EXHAUSTED,
                "etcdserver: mvcc: database space exceeded",
                ErrorCode::kResources, false},
           Case{Code::OUT_OF_RANGE,
                "etcdserver: mvcc: required revision has been compacted",
                ErrorCode::kCompacted, false},
           Case{Code::INVALID_ARGUMENT, "etcdserver: request is too large",
                ErrorCode::kInvalid, false},
           Case{Code::RESOURCE_EXHAUSTED,
                "grpc: received message larger than max (2 vs. 1)",
                ErrorCode::kInvalid, false},
           Case{Code::PERMISSION_DENIED, "etcdserver: permission denied",
                ErrorCode::kInvalid, false},
           Case{Code::UNIMPLEMENTED, "", ErrorCode::kInvalid, false},
       }) {
    SCOPED_TRACE(one.message);
    const grpc::Status status(one.code, one.message);
    const Verdict change = Judge(status, true);
    EXPECT_EQ(change.code, one.expected);
    EXPECT_EQ(change.ask_again, one.ask_again);
    // A read that was not refused is asked again.
    const Verdict read = Judge(status, false);
    const bool refused = one.expected == ErrorCode::kInvalid ||
                         one.expected == ErrorCode::kCompacted ||
                         one.expected == ErrorCode::kResources;
    EXPECT_EQ(read.ask_again, !refused);
    EXPECT_EQ(read.code, refused ? one.expected : ErrorCode::kUnavailable);
  }
}

TEST(Explain, SaysWhatToDo) {
  using Code = grpc::StatusCode;
  struct Case {
    Code code;
    const char* message;
    const char* expected;
  };
  const Endpoint plain = *ParseEndpoint("http://a");
  const Endpoint tls = *ParseEndpoint("https://a");
  for (const Case& one : {
           Case{Code::OK, "", "ended the stream"},
           Case{Code::UNAVAILABLE, "x Connection refused", "nobody listens"},
           Case{Code::UNAVAILABLE, "keepalive watchdog timeout",
                "it does not answer"},
           Case{Code::UNAVAILABLE,
                "connection attempt timed out before receiving SETTINGS frame",
                "answers nothing"},
           Case{Code::DEADLINE_EXCEEDED, "Deadline Exceeded",
                "it does not answer"},
           Case{Code::UNIMPLEMENTED, "unknown service", "not etcd, version 3"},
           Case{Code::INVALID_ARGUMENT, "etcdserver: user name is empty",
                "certificate whose CN"},
           Case{Code::PERMISSION_DENIED, "etcdserver: permission denied",
                "a role that may read and write"},
           Case{Code::UNKNOWN, "anything else", "anything else"},
       }) {
    SCOPED_TRACE(one.message);
    const grpc::Status status(one.code, one.message);
    const std::string text = Explain(plain, status);
    EXPECT_THAT(text, HasSubstr(one.expected));
    EXPECT_EQ(Explain(tls, status), text);
  }
  // Where it matters what was tried.
  const grpc::Status closed(Code::UNAVAILABLE, "Socket closed");
  EXPECT_THAT(Explain(plain, closed), HasSubstr("does it want https://?"));
  EXPECT_THAT(Explain(tls, closed), HasSubstr("does it speak TLS"));
}

TEST(Explain, LeavesOutWhatGrpcHasTried) {
  const auto told = [](const std::string& url, const std::string& cause) {
    const auto endpoint = ParseEndpoint(url);
    return Explain(*endpoint,
                   {grpc::StatusCode::UNAVAILABLE,
                    "failed to connect to all addresses; last error: UNKNOWN: "
                    "ipv4:10.0.0.12:2379: " +
                        cause});
  };
  const std::string plain = "http://10.0.0.12:2379";
  EXPECT_EQ(told(plain, "Failed to connect to remote host: Connection refused"),
            "nobody listens there (Failed to connect to remote host: "
            "Connection refused)");
  // Of a host that is away or cut off.
  for (const char* cause :
       {"tcp handshaker shutdown",
        "Failed to connect to remote host: No route to host"}) {
    EXPECT_THAT(told(plain, cause), HasSubstr("its host cannot be reached"));
  }
  EXPECT_EQ(told(plain, "Socket closed"),
            "the connection broke: does it want https://? (Socket closed)");
  EXPECT_THAT(told("https://10.0.0.12:2379", "Endpoint read failed"),
              HasSubstr("and not expired"));
}

TEST(Choose, KeepsTheCurrentOneUnlessItFailed) {
  const Candidate good{.usable = true};
  const Candidate none{.usable = false};
  const auto failed = [](int64_t ms) {
    return Candidate{.usable = true, .blamed_ms = ms};
  };
  using All = std::vector<Candidate>;
  EXPECT_EQ(Choose(All{good, good, good}, 1), 1u);
  EXPECT_EQ(Choose(All{good, failed(5), good}, 1), 2u);
  EXPECT_EQ(Choose(All{good, failed(5), none}, 1), 0u);
  EXPECT_EQ(Choose(All{failed(7), failed(5), failed(6)}, 0), 1u);
  EXPECT_EQ(Choose(All{none, failed(5), none}, 0), 1u);
  EXPECT_EQ(Choose(All{none, none}, 0), std::nullopt);
  EXPECT_EQ(Choose({}, 0), std::nullopt);
}

class RevisionGroupsTest : public testing::Test {
 protected:
  // "7 a|8 b c" is what is whole after events of these revisions and keys.
  std::string Add(const std::vector<std::pair<int64_t, std::string>>& events,
                  bool more) {
    std::vector<Event> made;
    for (const auto& [revision, key] : events) {
      Event& event = made.emplace_back();
      event.kv.key = key;
      event.kv.mod_revision = revision;
    }
    const auto whole = groups_.Add(std::move(made), more);
    if (!whole) return "another history";
    std::string text;
    for (const WatchUpdate& update : *whole) {
      text += fmt::format("{}{}", text.empty() ? "" : "|", update.revision);
      for (const Event& event : update.events) text += " " + event.kv.key;
    }
    return text;
  }

  RevisionGroups groups_{7};
};

TEST_F(RevisionGroupsTest, KeepsTheChangesOfARevisionTogether) {
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}, {8, "c"}, {10, "d"}}, false),
            "7 a|8 b c|10 d");
  EXPECT_EQ(groups_.next(), 11);
}

TEST_F(RevisionGroupsTest, WaitsForTheRestOfARevision) {
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}}, true), "7 a");
  EXPECT_EQ(groups_.next(), 8);
  EXPECT_EQ(Add({{8, "c"}}, true), "");
  EXPECT_EQ(Add({{8, "d"}, {9, "e"}}, true), "8 b c d");
  EXPECT_EQ(Add({}, false), "9 e");
  EXPECT_EQ(groups_.next(), 10);
}

TEST_F(RevisionGroupsTest, ANewStreamTellsAHalfRevisionAgain) {
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}}, true), "7 a");
  groups_.Restart();
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}, {8, "c"}}, false), "8 b c");
}

TEST_F(RevisionGroupsTest, NothingIsToldTwice) {
  EXPECT_EQ(Add({{6, "z"}, {7, "a"}}, false), "7 a");
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}}, false), "8 b");
  EXPECT_TRUE(groups_.AdvanceTo(9));
  EXPECT_TRUE(groups_.AdvanceTo(3));
  EXPECT_EQ(groups_.next(), 10);
  EXPECT_EQ(Add({{8, "b"}, {10, "d"}}, false), "10 d");
  // It would be missed.
  EXPECT_TRUE(groups_.AdvanceTo(12));
  EXPECT_EQ(Add({{12, "e"}}, false), "another history");
}

// --- A new stream begins with the newest revision that was told -------------

TEST_F(RevisionGroupsTest, WhatWasToldComesAgainInAnyOrderAndPieces) {
  EXPECT_EQ(Add({{7, "a"}, {8, "b"}, {8, "c"}}, false), "7 a|8 b c");
  groups_.Restart();
  EXPECT_EQ(Add({{8, "c"}}, true), "");
  // That stream breaks, too.
  groups_.Restart();
  EXPECT_EQ(Add({{8, "c"}}, true), "");
  EXPECT_EQ(Add({{8, "b"}, {9, "d"}}, false), "9 d");
  groups_.Restart();
  EXPECT_TRUE(groups_.AdvanceTo(8));
  EXPECT_EQ(Add({{9, "d"}}, false), "");
  // A member that lags begins with what is older.
  groups_.Restart();
  EXPECT_EQ(Add({{6, "z"}, {7, "a"}}, false), "");
  EXPECT_EQ(Add({{8, "b"}, {8, "c"}, {9, "d"}}, false), "");
  EXPECT_EQ(Add({{10, "e"}}, false), "10 e");
}

TEST_F(RevisionGroupsTest, WhatWasToldLastIsWhereANewStreamBegins) {
  EXPECT_EQ(groups_.begin(), 6);
  EXPECT_EQ(Add({{7, "a"}}, false), "7 a");
  EXPECT_EQ(groups_.begin(), 7);
  // etcd says that up to there it is the newest.
  EXPECT_TRUE(groups_.AdvanceTo(12));
  EXPECT_EQ(groups_.begin(), 7);
  groups_.Restart();
  EXPECT_EQ(Add({{7, "a"}}, false), "");
  EXPECT_EQ(Add({{13, "b"}}, false), "13 b");
}

TEST_F(RevisionGroupsTest, WhatWasNotThereBeforeIsAnotherHistory) {
  const std::vector<std::pair<int64_t, std::string>> others[] = {
      {{13, "b"}},
      {{8, "b"}},
      {{7, "a"}, {8, "b"}},
      {{7, "a"}, {12, "b"}, {13, "c"}},
  };
  for (const auto& other : others) {
    groups_ = RevisionGroups(7);
    EXPECT_EQ(Add({{7, "a"}}, false), "7 a");
    EXPECT_TRUE(groups_.AdvanceTo(12));
    groups_.Restart();
    EXPECT_EQ(Add(other, false), "another history");
  }
}

TEST_F(RevisionGroupsTest, OtherChangesOfItAreAnotherHistory) {
  const std::vector<std::pair<int64_t, std::string>> others[] = {
      {{8, "b"}},
      {{8, "b"}, {8, "d"}},
      {{8, "b"}, {8, "c"}, {8, "d"}},
      {{8, "b"}, {9, "c"}},
      {{9, "b"}, {9, "c"}},
  };
  for (const auto& other : others) {
    groups_ = RevisionGroups(7);
    EXPECT_EQ(Add({{7, "a"}, {8, "b"}, {8, "c"}}, false), "7 a|8 b c");
    groups_.Restart();
    EXPECT_EQ(Add(other, false), "another history");
  }
  groups_ = RevisionGroups(7);
  EXPECT_EQ(Add({{7, "a"}}, false), "7 a");
  groups_.Restart();
  EXPECT_FALSE(groups_.AdvanceTo(9));
}

TEST_F(RevisionGroupsTest, AnotherValueOrARemovalIsAnotherHistory) {
  Event put;
  put.kv = {.key = "key", .value = "value", .mod_revision = 7};
  Event changed = put;
  changed.kv.value = "other";
  Event swapped = put;
  std::swap(swapped.kv.key, swapped.kv.value);
  Event removal = put;
  removal.is_delete = true;
  Event empty = put;
  empty.kv.value.clear();
  Event removed = empty;
  removed.is_delete = true;
  const std::pair<Event, Event> others[] = {
      {put, changed}, {put, swapped}, {put, removal}, {empty, removed}};
  for (const auto& [told, again] : others) {
    groups_ = RevisionGroups(7);
    EXPECT_TRUE(groups_.Add({told}, false));
    groups_.Restart();
    EXPECT_TRUE(groups_.Add({told}, false));
    groups_.Restart();
    EXPECT_FALSE(groups_.Add({again}, false));
  }
}

TEST(Wire, CarriesAnyBytes) {
  const std::string bytes("\0\xff\r\n", 4);
  TxnRequest request;
  request.compares.push_back({bytes, Compare::Target::kValue, 0, bytes});
  request.compares.push_back({"absent", Compare::Target::kModRevision, 0, ""});
  request.then.push_back({Op::Kind::kPut, bytes, bytes});
  request.then.push_back({Op::Kind::kDelete, "d", ""});
  request.otherwise.push_back({Op::Kind::kGet, "g", ""});
  const wire::TxnRequest sent = ToWire(std::move(request));
  wire::TxnRequest got;
  ASSERT_TRUE(got.ParseFromString(sent.SerializeAsString()));
  EXPECT_EQ(got.compare(0).key(), bytes);
  EXPECT_EQ(got.compare(0).value(), bytes);
  // Zero is said, not left out: etcd would compare with something else.
  EXPECT_TRUE(got.compare(1).has_mod_revision());
  EXPECT_EQ(got.compare(1).target(), wire::Compare::MOD);
  EXPECT_EQ(got.success(0).put().value(), bytes);
  EXPECT_EQ(got.success(1).delete_range().key(), "d");
  EXPECT_EQ(got.failure(0).range().key(), "g");
}

TEST(Wire, FindsAlarmsAmongTheErrorsOfAStatus) {
  wire::StatusResponse response;
  for (const char* error :
       {"memberID:1 alarm:NOSPACE ", "etcdserver: no leader",
        "memberID:2 alarm:NOSPACE ", "memberID:2 alarm:CORRUPT"}) {
    response.add_errors(error);
  }
  EXPECT_THAT(FromWire(response).alarms, ElementsAre("NOSPACE", "CORRUPT"));
}

}  // namespace
}  // namespace kvd::etcd
