// SPDX-License-Identifier: MIT
#include "store/background/maintenance.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "base/executor.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"

namespace kvd {
namespace {

class Maintaining : public testing::Test {
 protected:
  void Step(const std::string& name, Result<void> outcome = {}) {
    worker_.Step(
        [this, name, outcome] {
          story_ += name + " works; ";
          return outcome;
        },
        [this, name](const Result<void>& done) {
          story_ += name + (done ? " ended; " : " failed; ");
        });
  }

  ManualExecutor executor_;
  ManualClock clock_;
  int wakes_ = 0;
  std::string story_;
  MaintenanceWorker worker_{executor_, clock_, [this] { ++wakes_; }};
};

TEST_F(Maintaining, AStepIsUnderWayUntilItsOutcomeIsTaken) {
  EXPECT_FALSE(worker_.under_way());
  Step("one");
  EXPECT_TRUE(worker_.under_way());
  worker_.Poll();
  EXPECT_EQ(story_, "");
  executor_.RunOne();
  EXPECT_EQ(wakes_, 1);
  EXPECT_TRUE(worker_.under_way());
  worker_.Poll();
  EXPECT_FALSE(worker_.under_way());
  Step("two", Fail(ErrorCode::kIo, "no"));
  executor_.RunOne();
  worker_.Poll();
  worker_.Poll();
  EXPECT_EQ(story_, "one works; one ended; two works; two failed; ");
}

TEST_F(Maintaining, AnOutcomeMayBeginTheNextStep) {
  executor_.set_auto_run(true);
  worker_.Step([]() -> Result<void> { return {}; },
               [this](const Result<void>&) { Step("next"); });
  worker_.Poll();
  EXPECT_TRUE(worker_.under_way());
  EXPECT_EQ(story_, "next works; ");
  worker_.Poll();
  EXPECT_FALSE(worker_.under_way());
  EXPECT_EQ(story_, "next works; next ended; ");
}

TEST_F(Maintaining, OneStepAtATime) {
  Step("one");
  EXPECT_DEATH(Step("two"), "under_way");
  executor_.RunAll();
}

TEST_F(Maintaining, KeepsToARate) {
  EXPECT_EQ(worker_.WaitMs(1000), 0);
  worker_.BeginPace();
  EXPECT_EQ(worker_.WaitMs(1000), 0);
  worker_.CountBytes(500);
  EXPECT_EQ(worker_.WaitMs(1000), 500);
  EXPECT_EQ(worker_.WaitMs(10'000), 50);
  EXPECT_EQ(worker_.WaitMs(/*no limit*/ 0), 0);
  clock_.AdvanceMs(400);
  worker_.CountBytes(500);
  EXPECT_EQ(worker_.WaitMs(1000), 600);
  clock_.AdvanceNs(599'900'000);
  EXPECT_EQ(worker_.WaitMs(1000), 1);
  clock_.AdvanceMs(1);
  EXPECT_EQ(worker_.WaitMs(1000), 0);
}

// Its end waits for the work, so that nothing of its owner's goes before; what
// should follow does not come.
TEST(MaintenanceThread, EndsBehindTheStepUnderWay) {
  ThreadExecutor thread("maintain");
  ManualClock clock;
  for (int i = 0; i < 100; ++i) {
    bool worked = false;
    bool followed = false;
    {
      MaintenanceWorker worker(thread, clock, [] {});
      worker.Step(
          [&worked]() -> Result<void> {
            worked = true;
            return {};
          },
          [&followed](const Result<void>&) { followed = true; });
    }
    EXPECT_TRUE(worked);
    EXPECT_FALSE(followed);
  }
}

}  // namespace
}  // namespace kvd
