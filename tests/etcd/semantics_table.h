// SPDX-License-Identifier: MIT
//
// What etcd answers to what, as a table: the tests of FakeEtcd and those of the
// client beside real nodes go through the same one (semantics_run.h), so that
// the fake cannot differ from etcd where the engine relies on it.
//
// Revisions in it count from the one before the case: the first change of a
// case makes revision 1. As a mod_revision, 0 says that there is no such key.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "etcd/api.h"

namespace kvd::etcd::semantics {

struct Refused {
  ErrorCode code = ErrorCode::kInvalid;
  std::string words;  // Part of the message.
};

struct TxnStep {
  TxnRequest request;
  std::variant<TxnResponse, Refused> expected;
};

struct RangeStep {
  RangeRequest request;
  // Its `revision` is that of the cluster by then.
  std::variant<RangeResponse, Refused> expected;
};

struct Case {
  std::string name;
  std::vector<std::variant<TxnStep, RangeStep>> steps;
  // All that a watch of the case's keys is told, in any grouping that leaves
  // revisions whole.
  std::vector<Event> events;
};

// For GoogleTest.
inline void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

inline Compare IfMod(std::string key, int64_t revision) {
  return {std::move(key), Compare::Target::kModRevision, revision, ""};
}
inline Compare IfValue(std::string key, std::string value) {
  return {std::move(key), Compare::Target::kValue, 0, std::move(value)};
}
inline Op PutOp(std::string key, std::string value) {
  return {Op::Kind::kPut, std::move(key), std::move(value)};
}
inline Op DeleteOp(std::string key) {
  return {Op::Kind::kDelete, std::move(key), ""};
}
inline Op GetOp(std::string key) {
  return {Op::Kind::kGet, std::move(key), ""};
}

inline TxnStep Put(std::string key, std::string value, int64_t revision) {
  return {{{}, {PutOp(std::move(key), std::move(value))}, {}},
          TxnResponse{true, revision, {}}};
}
inline TxnStep Delete(std::string key, int64_t revision) {
  return {{{}, {DeleteOp(std::move(key))}, {}},
          TxnResponse{true, revision, {}}};
}
inline Event WasPut(std::string key, std::string value, int64_t created,
                    int64_t revision) {
  return {false, {std::move(key), std::move(value), created, revision}};
}
inline Event WasDeleted(std::string key, int64_t revision) {
  return {true, {std::move(key), "", 0, revision}};
}

// As many puts of different keys, of values of that size.
inline std::vector<Op> ManyPuts(int count, size_t value_size = 1) {
  std::vector<Op> ops;
  for (int i = 0; i < count; ++i) {
    ops.push_back(PutOp("k" + std::to_string(i), std::string(value_size, 'v')));
  }
  return ops;
}
inline std::vector<Compare> ManyCompares(int count) {
  return std::vector<Compare>(static_cast<size_t>(count), IfMod("none", 0));
}

inline std::vector<Case> RevisionCases() {
  return {
      {"APutCreatesAndAnotherChanges",
       {Put("a", "1", 1), Put("a", "2", 2),
        RangeStep{{"a", "", 0, 0, false},
                  RangeResponse{2, {{"a", "2", 1, 2}}, false}}},
       {WasPut("a", "1", 1, 1), WasPut("a", "2", 1, 2)}},
      {"ARemovalMakesARevisionAndTheNextPutCreates",
       {Put("a", "1", 1), Delete("a", 2),
        RangeStep{{"a", "", 0, 0, false}, RangeResponse{2, {}, false}},
        Put("a", "2", 3),
        RangeStep{{"a", "", 0, 0, false},
                  RangeResponse{3, {{"a", "2", 3, 3}}, false}}},
       {WasPut("a", "1", 1, 1), WasDeleted("a", 2), WasPut("a", "2", 3, 3)}},
      {"RemovingNothingMakesNoRevision", {Delete("a", 0)}, {}},
      {"ReadingMakesNoRevision",
       {TxnStep{{{}, {GetOp("a")}, {}}, TxnResponse{true, 0, {}}}},
       {}},
      {"AnEmptyTxnMakesNoRevision",
       {TxnStep{{{}, {}, {}}, TxnResponse{true, 0, {}}}},
       {}},
      {"ThePutOfTheSameValueMakesARevision",
       {Put("a", "1", 1), Put("a", "1", 2)},
       {WasPut("a", "1", 1, 1), WasPut("a", "1", 1, 2)}},
      {"TheChangesOfATxnHaveOneRevision",
       {Put("b", "0", 1),
        TxnStep{{{}, {PutOp("c", "1"), DeleteOp("b"), PutOp("a", "1")}, {}},
                TxnResponse{true, 2, {}}},
        RangeStep{
            {"a", "z", 0, 0, false},
            RangeResponse{2, {{"a", "1", 2, 2}, {"c", "1", 2, 2}}, false}}},
       {WasPut("b", "0", 1, 1), WasPut("c", "1", 2, 2), WasDeleted("b", 2),
        WasPut("a", "1", 2, 2)}},
      {"ATxnReadsWhatItHasChanged",
       {Put("a", "1", 1), Put("b", "1", 2),
        TxnStep{{{},
                 {GetOp("a"), PutOp("a", "2"), GetOp("a"), DeleteOp("b"),
                  GetOp("b")},
                 {}},
                TxnResponse{true, 3, {{"a", "1", 1, 1}, {"a", "2", 1, 3}}}}},
       {WasPut("a", "1", 1, 1), WasPut("b", "1", 2, 2), WasPut("a", "2", 1, 3),
        WasDeleted("b", 3)}},
      {"ValuesAndKeysAreBytes",
       {Put(std::string("a\0\xff\n", 4), std::string("\0\xfe\r\n", 4), 1),
        RangeStep{{std::string("a\0\xff\n", 4), "", 0, 0, false},
                  RangeResponse{1,
                                {{std::string("a\0\xff\n", 4),
                                  std::string("\0\xfe\r\n", 4), 1, 1}},
                                false}}},
       {WasPut(std::string("a\0\xff\n", 4), std::string("\0\xfe\r\n", 4), 1,
               1)}},
      {"AValueMayBeEmpty",
       {Put("a", "", 1), RangeStep{{"a", "", 0, 0, false},
                                   RangeResponse{1, {{"a", "", 1, 1}}, false}}},
       {WasPut("a", "", 1, 1)}},
  };
}

inline std::vector<Case> CompareCases() {
  const auto put_b = [](Compare compare, TxnResponse expected) {
    return TxnStep{{{std::move(compare)}, {PutOp("b", "1")}, {GetOp("a")}},
                   std::move(expected)};
  };
  return {
      {"ModRevision0SaysThatThereIsNoKey",
       {put_b(IfMod("a", 0), {true, 1, {}}), Put("a", "1", 2),
        put_b(IfMod("a", 0), {false, 2, {{"a", "1", 2, 2}}}), Delete("a", 3),
        put_b(IfMod("a", 0), {true, 4, {}})},
       {WasPut("b", "1", 1, 1), WasPut("a", "1", 2, 2), WasDeleted("a", 3),
        WasPut("b", "1", 1, 4)}},
      {"AModRevisionIsThatOfTheNewestChange",
       {Put("a", "1", 1), Put("a", "2", 2),
        put_b(IfMod("a", 1), {false, 2, {{"a", "2", 1, 2}}}),
        put_b(IfMod("a", 2), {true, 3, {}})},
       {WasPut("a", "1", 1, 1), WasPut("a", "2", 1, 2),
        WasPut("b", "1", 3, 3)}},
      {"AValueIsComparedWhole",
       {Put("a", "1", 1),
        put_b(IfValue("a", ""), {false, 1, {{"a", "1", 1, 1}}}),
        put_b(IfValue("a", "12"), {false, 1, {{"a", "1", 1, 1}}}),
        put_b(IfValue("a", "1"), {true, 2, {}})},
       {WasPut("a", "1", 1, 1), WasPut("b", "1", 2, 2)}},
      {"NoKeyHasNoValueNotEvenAnEmptyOne",
       {put_b(IfValue("a", ""), {false, 0, {}}), Put("a", "", 1),
        put_b(IfValue("a", ""), {true, 2, {}})},
       {WasPut("a", "", 1, 1), WasPut("b", "1", 2, 2)}},
      {"AllComparesHaveToHold",
       {Put("a", "1", 1),
        TxnStep{{{IfMod("a", 1), IfValue("a", "2")},
                 {PutOp("b", "1")},
                 {PutOp("c", "1")}},
                TxnResponse{false, 2, {}}},
        TxnStep{{{IfMod("a", 1), IfValue("a", "1"), IfMod("c", 2)},
                 {PutOp("b", "1")},
                 {PutOp("c", "2")}},
                TxnResponse{true, 3, {}}}},
       {WasPut("a", "1", 1, 1), WasPut("c", "1", 2, 2),
        WasPut("b", "1", 3, 3)}},
      {"ComparesSeeWhatWasBeforeTheTxn",
       {TxnStep{{{IfMod("a", 0)}, {PutOp("a", "1"), GetOp("a")}, {}},
                TxnResponse{true, 1, {{"a", "1", 1, 1}}}}},
       {WasPut("a", "1", 1, 1)}},
      {"AKeyMayBeComparedTwice",
       {TxnStep{{{IfMod("a", 0), IfMod("a", 0)}, {PutOp("a", "1")}, {}},
                TxnResponse{true, 1, {}}}},
       {WasPut("a", "1", 1, 1)}},
  };
}

inline std::vector<Case> RefusalCases() {
  const Refused too_many{ErrorCode::kInvalid, "too many operations"};
  const Refused twice{ErrorCode::kInvalid, "duplicate key"};
  const Refused no_key{ErrorCode::kInvalid, "key is not provided"};
  const Refused too_large{ErrorCode::kInvalid, "too large"};
  const auto then = [](std::vector<Op> ops, Refused refused) {
    return TxnStep{{{}, std::move(ops), {}}, std::move(refused)};
  };
  const auto otherwise = [](std::vector<Op> ops, Refused refused) {
    return TxnStep{{{}, {}, std::move(ops)}, std::move(refused)};
  };
  constexpr size_t kMiB = 1 << 20;
  return {
      {"128OperationsPassInEachBranch",
       {TxnStep{{ManyCompares(128), {GetOp("a")}, ManyPuts(128)},
                TxnResponse{true, 0, {}}}},
       {}},
      {"129OperationsAreRefused",
       {then(ManyPuts(129), too_many), otherwise(ManyPuts(129), too_many),
        TxnStep{{ManyCompares(129), {}, {}}, too_many}},
       {}},
      {"AKeyIsChangedOnceInABranch",
       {then({PutOp("a", "1"), PutOp("a", "2")}, twice),
        then({PutOp("a", "1"), DeleteOp("a")}, twice),
        then({DeleteOp("a"), PutOp("a", "1")}, twice),
        otherwise({PutOp("a", "1"), PutOp("a", "1")}, twice)},
       {}},
      {"AKeyMayBeInBothBranches",
       {TxnStep{{{}, {PutOp("a", "1")}, {PutOp("a", "2")}},
                TxnResponse{true, 1, {}}}},
       {WasPut("a", "1", 1, 1)}},
      {"AKeyMayBeRemovedTwice",
       {Put("a", "1", 1), TxnStep{{{}, {DeleteOp("a"), DeleteOp("a")}, {}},
                                  TxnResponse{true, 2, {}}}},
       {WasPut("a", "1", 1, 1), WasDeleted("a", 2)}},
      {"AKeyIsNotEmpty",
       {then({PutOp("", "1")}, no_key), then({DeleteOp("")}, no_key),
        then({GetOp("")}, no_key), TxnStep{{{IfMod("", 0)}, {}, {}}, no_key},
        RangeStep{{"", "", 0, 0, false}, no_key}},
       {}},
      {"WhatIsTooLargeIsRefused",
       {then({PutOp("a", std::string(kMiB * 7 / 4, 'v'))}, too_large),
        then(ManyPuts(7, kMiB / 4), too_large)},
       {}},
      {"WhatIsRefusedIsNotDone",
       {Put("a", "1", 1), then({PutOp("a", "2"), PutOp("a", "3")}, twice),
        RangeStep{{"a", "", 0, 0, false},
                  RangeResponse{1, {{"a", "1", 1, 1}}, false}}},
       {WasPut("a", "1", 1, 1)}},
      {"AValueOf1MiBPasses",
       {Put("a", std::string(kMiB, 'v'), 1)},
       {WasPut("a", std::string(kMiB, 'v'), 1, 1)}},
  };
}

inline std::vector<Case> RangeCases() {
  const std::vector<Event> four = {
      WasPut("c", "3", 1, 1), WasPut("a", "1", 2, 2), WasPut("d", "4", 3, 3),
      WasPut("b", "2", 4, 4)};
  const KeyValue a{"a", "1", 2, 2}, b{"b", "2", 4, 4}, c{"c", "3", 1, 1},
      d{"d", "4", 3, 3};
  const auto with_four = [](std::vector<RangeStep> steps) {
    std::vector<std::variant<TxnStep, RangeStep>> all = {
        Put("c", "3", 1), Put("a", "1", 2), Put("d", "4", 3), Put("b", "2", 4)};
    all.insert(all.end(), steps.begin(), steps.end());
    return all;
  };
  return {
      {"ARangeIsInTheOrderOfKeysWithoutItsEnd",
       with_four(
           {{{"a", "d", 0, 0, false}, RangeResponse{4, {a, b, c}, false}},
            {{"aa", "z", 0, 0, false}, RangeResponse{4, {b, c, d}, false}},
            {{"x", "z", 0, 0, false}, RangeResponse{4, {}, false}},
            {{"b", "", 0, 0, false}, RangeResponse{4, {b}, false}},
            {{"bb", "", 0, 0, false}, RangeResponse{4, {}, false}}}),
       four},
      {"ALimitSaysWhetherThereIsMore",
       with_four(
           {{{"a", "z", 3, 0, false}, RangeResponse{4, {a, b, c}, true}},
            {{"a", "z", 4, 0, false}, RangeResponse{4, {a, b, c, d}, false}},
            {{"b", "d", 1, 0, false}, RangeResponse{4, {b}, true}}}),
       four},
      {"KeysOnlyLeavesValuesOut",
       with_four(
           {{{"c", "z", 0, 0, true},
             RangeResponse{4, {{"c", "", 1, 1}, {"d", "", 3, 3}}, false}}}),
       four},
      {"ARangeOfAnEarlierRevisionSeesWhatWasThen",
       {Put("a", "1", 1), Put("b", "1", 2), Put("a", "2", 3), Delete("b", 4),
        RangeStep{{"a", "z", 0, 1, false},
                  RangeResponse{4, {{"a", "1", 1, 1}}, false}},
        RangeStep{
            {"a", "z", 0, 2, false},
            RangeResponse{4, {{"a", "1", 1, 1}, {"b", "1", 2, 2}}, false}},
        RangeStep{{"a", "z", 1, 3, false},
                  RangeResponse{4, {{"a", "2", 1, 3}}, true}},
        RangeStep{{"a", "z", 0, 4, false},
                  RangeResponse{4, {{"a", "2", 1, 3}}, false}}},
       {WasPut("a", "1", 1, 1), WasPut("b", "1", 2, 2), WasPut("a", "2", 1, 3),
        WasDeleted("b", 4)}},
      {"AFutureRevisionIsRefused",
       {RangeStep{{"a", "z", 0, 1, false},
                  Refused{ErrorCode::kInvalid, "future revision"}}},
       {}},
  };
}

inline std::vector<Case> AllCases() {
  std::vector<Case> all = RevisionCases();
  for (const auto& cases : {CompareCases(), RefusalCases(), RangeCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace kvd::etcd::semantics
