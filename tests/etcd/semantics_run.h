// SPDX-License-Identifier: MIT
//
// Runs the cases of semantics_table.h on an Api: a fake etcd's, or the client
// of a real one that nobody else writes to meanwhile.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/etcd/semantics_table.h"

namespace kvd::etcd::semantics {

class Run {
 public:
  // Calls Poll() until that is so, with a limit; returns whether it is.
  using Await = std::function<bool(const std::function<bool()>&)>;

  // All keys begin with `prefix`, which no two runs on one etcd share.
  Run(Api& api, Await await, std::string prefix)
      : api_(api), await_(std::move(await)), prefix_(std::move(prefix)) {}

  void operator()(const Case& one) {
    prefix_ += one.name + "/";
    const auto before = AskRange({prefix_, "", 0, 0, false});
    ASSERT_TRUE(before.ok()) << before.error().message();
    base_ = before->revision;
    std::vector<Event> live, replayed;
    const auto watch = StartWatch(&live);
    for (size_t i = 0; i < one.steps.size(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i + 1));
      std::visit([this](const auto& step) { Try(step); }, one.steps[i]);
    }
    const auto late = StartWatch(&replayed);
    EXPECT_TRUE(await_([&] {
      return live.size() >= one.events.size() &&
             replayed.size() >= one.events.size();
    }));
    ExpectEvents(live, one.events);
    ExpectEvents(replayed, one.events);
  }

 private:
  static constexpr int64_t kTimeoutMs = 20'000;

  void Try(const TxnStep& step) {
    const auto answer = AskTxn(WithPrefix(step.request));
    if (const auto* refused = std::get_if<Refused>(&step.expected)) {
      ExpectRefused(answer, *refused);
      return;
    }
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    const auto& expected = std::get<TxnResponse>(step.expected);
    EXPECT_EQ(answer->succeeded, expected.succeeded);
    EXPECT_EQ(answer->revision, base_ + expected.revision);
    ExpectFound(answer->found, expected.found);
  }

  void Try(const RangeStep& step) {
    const auto answer = AskRange(WithPrefix(step.request));
    if (const auto* refused = std::get_if<Refused>(&step.expected)) {
      ExpectRefused(answer, *refused);
      return;
    }
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    const auto& expected = std::get<RangeResponse>(step.expected);
    EXPECT_EQ(answer->revision, base_ + expected.revision);
    EXPECT_EQ(answer->more, expected.more);
    ExpectFound(answer->found, expected.found);
  }

  template <typename Response>
  static void ExpectRefused(const Result<Response>& answer,
                            const Refused& refused) {
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code(), refused.code);
    EXPECT_NE(answer.error().message().find(refused.words), std::string::npos)
        << answer.error().message();
  }

  void ExpectFound(const std::vector<KeyValue>& found,
                   const std::vector<KeyValue>& expected) const {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      SCOPED_TRACE("pair " + std::to_string(i + 1));
      ExpectPair(found[i], expected[i]);
    }
  }

  void ExpectEvents(const std::vector<Event>& told,
                    const std::vector<Event>& expected) const {
    ASSERT_EQ(told.size(), expected.size());
    for (size_t i = 0; i < told.size(); ++i) {
      SCOPED_TRACE("event " + std::to_string(i + 1));
      EXPECT_EQ(told[i].is_delete, expected[i].is_delete);
      ExpectPair(told[i].kv, expected[i].kv);
    }
  }

  void ExpectPair(const KeyValue& pair, const KeyValue& expected) const {
    EXPECT_EQ(pair.key, prefix_ + expected.key);
    EXPECT_TRUE(pair.value == expected.value);  // It may be large.
    EXPECT_EQ(pair.create_revision, Absolute(expected.create_revision));
    EXPECT_EQ(pair.mod_revision, Absolute(expected.mod_revision));
  }

  int64_t Absolute(int64_t revision) const {
    return revision == 0 ? 0 : base_ + revision;
  }
  void AddPrefix(std::string* key) const {
    if (!key->empty()) key->insert(0, prefix_);
  }

  TxnRequest WithPrefix(TxnRequest request) const {
    for (Compare& compare : request.compares) {
      AddPrefix(&compare.key);
      compare.mod_revision = Absolute(compare.mod_revision);
    }
    for (auto* ops : {&request.then, &request.otherwise}) {
      for (Op& op : *ops) AddPrefix(&op.key);
    }
    return request;
  }

  RangeRequest WithPrefix(RangeRequest request) const {
    AddPrefix(&request.key);
    AddPrefix(&request.range_end);
    request.revision = Absolute(request.revision);
    return request;
  }

  Result<TxnResponse> AskTxn(TxnRequest request) {
    std::optional<Result<TxnResponse>> answer;
    api_.Txn(std::move(request), kTimeoutMs,
             [&](auto result) { answer = std::move(result); });
    if (await_([&] { return answer.has_value(); })) return *answer;
    return Fail(ErrorCode::kTimeout, "neither an answer nor a timeout");
  }

  Result<RangeResponse> AskRange(RangeRequest request) {
    std::optional<Result<RangeResponse>> answer;
    api_.Range(std::move(request), kTimeoutMs,
               [&](auto result) { answer = std::move(result); });
    if (await_([&] { return answer.has_value(); })) return *answer;
    return Fail(ErrorCode::kTimeout, "neither an answer nor a timeout");
  }

  // From the case's first change on.
  std::unique_ptr<Watch> StartWatch(std::vector<Event>* told) {
    std::string end = prefix_;
    ++end.back();
    return api_.StartWatch(
        prefix_, std::move(end), base_ + 1,
        [told](WatchUpdate update) { Append(told, update); },
        [](const Error& error) { ADD_FAILURE() << error.message(); });
  }

  static void Append(std::vector<Event>* told, const WatchUpdate& update) {
    for (const Event& event : update.events) {
      EXPECT_LE(event.kv.mod_revision, update.revision);
    }
    if (!update.events.empty() && !told->empty()) {
      EXPECT_GT(update.events.front().kv.mod_revision,
                told->back().kv.mod_revision)
          << "a revision was told in two parts";
    }
    told->insert(told->end(), update.events.begin(), update.events.end());
  }

  Api& api_;
  Await await_;
  std::string prefix_;
  int64_t base_ = 0;
};

}  // namespace kvd::etcd::semantics
