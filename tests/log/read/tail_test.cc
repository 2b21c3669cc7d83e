// SPDX-License-Identifier: MIT
//
// The decision on the tail against the table in FORMAT.md, for every input.
#include "log/read/tail.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/log/format/format_page.h"

namespace kvd {
namespace {

struct Row {
  bool sealed = false;
  std::string position;
  std::optional<bool> evidence;  // Nothing: it does not matter.
  Verdict verdict = Verdict::kAccept;
};

std::optional<Verdict> VerdictOf(const std::string& word) {
  if (word == "accept") return Verdict::kAccept;
  if (word == "end") return Verdict::kEnd;
  if (word == "torn tail") return Verdict::kTorn;
  if (word == "damage") return Verdict::kDamaged;
  return std::nullopt;
}

std::vector<Row> RowsOfThePage() {
  std::vector<Row> rows;
  for (const std::vector<std::string>& cells :
       TableOf(Section(FormatPage(), "## Torn or damaged"))) {
    EXPECT_EQ(cells.size(), 4u);
    if (cells.size() != 4) continue;
    Row row;
    EXPECT_TRUE(cells[0] == "sealed" || cells[0] == "live") << cells[0];
    row.sealed = cells[0] == "sealed";
    row.position = cells[1];
    if (!cells[2].empty()) row.evidence = cells[2] == "yes";
    const auto verdict = VerdictOf(cells[3]);
    EXPECT_TRUE(verdict.has_value()) << cells[3];
    row.verdict = verdict.value_or(Verdict::kAccept);
    rows.push_back(row);
  }
  return rows;
}

// Whether a row's words fit the facts; the words are those of the page.
bool Fits(const Row& row, const TailFacts& facts) {
  const bool continues = facts.found == Found::kGroup && facts.continues;
  const bool zeros = facts.found == Found::kNothing;
  const bool skips = facts.found == Found::kGroup && !facts.continues;
  if (row.sealed != facts.sealed) return false;
  if (row.evidence && *row.evidence != facts.evidence) return false;
  const std::string& words = row.position;
  if (words == "its end as the MANIFEST has it") return facts.at_sealed_end;
  if (words == "anything else") return !facts.at_sealed_end && !continues;
  if (words == "a whole group that continues the sequence") {
    return continues && !(facts.sealed && facts.at_sealed_end);
  }
  if (words == "nothing but zeros") return zeros && !facts.goes_on;
  if (words ==
      "nothing but zeros, and the next live segment continues the "
      "sequence") {
    return zeros && facts.goes_on;
  }
  if (words == "bytes that are not a whole group") {
    return facts.found == Found::kBroken;
  }
  if (words == "a whole group that skips changes") return skips;
  ADD_FAILURE() << "the page has new words: " << words;
  return false;
}

TEST(Tail, IsDecidedAsThePageSaysForEveryInput) {
  const std::vector<Row> rows = RowsOfThePage();
  ASSERT_GE(rows.size(), 10u);
  std::vector<int> used(rows.size(), 0);
  for (int bits = 0; bits < 32; ++bits) {
    for (Found found : {Found::kGroup, Found::kNothing, Found::kBroken}) {
      TailFacts facts;
      facts.found = found;
      facts.continues = (bits & 1) != 0;
      facts.goes_on = (bits & 2) != 0;
      facts.sealed = (bits & 4) != 0;
      facts.at_sealed_end = (bits & 8) != 0;
      facts.evidence = (bits & 16) != 0;
      // Only the MANIFEST of a sealed segment knows an end.
      if (!facts.sealed && facts.at_sealed_end) continue;
      SCOPED_TRACE(testing::Message()
                   << "found " << static_cast<int>(found) << " continues "
                   << facts.continues << " goes_on " << facts.goes_on
                   << " sealed " << facts.sealed << " at_sealed_end "
                   << facts.at_sealed_end << " evidence " << facts.evidence);
      int fitting = 0;
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!Fits(rows[i], facts)) continue;
        ++fitting;
        ++used[i];
        EXPECT_EQ(DecideTail(facts), rows[i].verdict) << rows[i].position;
      }
      EXPECT_EQ(fitting, 1);
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_GT(used[i], 0) << "no input fits: " << rows[i].position;
  }
}

}  // namespace
}  // namespace kvd
