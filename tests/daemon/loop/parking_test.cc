// SPDX-License-Identifier: MIT
#include "daemon/loop/parking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/daemon/loop/connection_rig.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ParkingTest : public testing::Test {
 protected:
  ConnectionRig rig_;
  Parking parking_{rig_.service()};
  ConnectionRig::Client a_ = rig_.Connect();
  ConnectionRig::Client b_ = rig_.Connect();
  ConnectionRig::Client c_ = rig_.Connect();
};

TEST_F(ParkingTest, GivesThemOutInTheOrderInWhichTheyBeganToWait) {
  parking_.Park(*b_.connection, WaitsFor::kRoom);
  parking_.Park(*a_.connection, WaitsFor::kRoom);
  EXPECT_EQ(rig_.service().stats.parked, 2u);
  EXPECT_FALSE(a_.connection->MayExecute());
  EXPECT_EQ(parking_.TakeForRoom(), b_.connection.get());
  EXPECT_TRUE(b_.connection->MayExecute());
  // There is still no room: it stays the first one.
  parking_.ParkFirst(*b_.connection);
  EXPECT_FALSE(b_.connection->MayExecute());
  EXPECT_EQ(parking_.TakeForRoom(), b_.connection.get());
  EXPECT_EQ(parking_.TakeForRoom(), a_.connection.get());
  EXPECT_EQ(parking_.TakeForRoom(), nullptr);
  EXPECT_EQ(rig_.service().stats.parked, 0u);
}

TEST_F(ParkingTest, OnlyThoseThatWaitForRoomHoldWritersBack) {
  parking_.Park(*a_.connection, WaitsFor::kNews);
  parking_.Park(*b_.connection, WaitsFor::kOthers);
  EXPECT_FALSE(parking_.queues_writers());
  EXPECT_EQ(rig_.service().stats.parked, 0u);
  parking_.Park(*c_.connection, WaitsFor::kRoom);
  EXPECT_TRUE(parking_.queues_writers());
}

TEST_F(ParkingTest, NewsMayTakeLongerThanAStopWaits) {
  parking_.Park(*a_.connection, WaitsFor::kNews);
  EXPECT_FALSE(parking_.delays_stop());
  EXPECT_FALSE(parking_.has_runnable());
  parking_.Park(*b_.connection, WaitsFor::kOthers);
  EXPECT_TRUE(parking_.delays_stop());
  EXPECT_TRUE(parking_.has_runnable());
  EXPECT_EQ(parking_.TakeForOthers(), b_.connection.get());
  EXPECT_FALSE(parking_.has_runnable());
  EXPECT_THAT(parking_.TakeForNews(), ElementsAre(a_.connection.get()));
  EXPECT_THAT(parking_.TakeForNews(), IsEmpty());
}

TEST_F(ParkingTest, GivesOutNoneThatHasClosed) {
  for (const WaitsFor what :
       {WaitsFor::kRoom, WaitsFor::kNews, WaitsFor::kOthers}) {
    ConnectionRig::Client gone = rig_.Connect();
    parking_.Park(*gone.connection, what);
    gone.connection->Close();
    EXPECT_EQ(parking_.TakeForRoom(), nullptr);
    EXPECT_EQ(parking_.TakeForOthers(), nullptr);
    EXPECT_THAT(parking_.TakeForNews(), IsEmpty());

    parking_.Park(*gone.connection, what);
    parking_.EraseClosed();
    EXPECT_FALSE(parking_.delays_stop());
    EXPECT_EQ(rig_.service().stats.parked, 0u);
  }
}

TEST_F(ParkingTest, GivesOutAllWhateverTheyWaitFor) {
  parking_.Park(*a_.connection, WaitsFor::kOthers);
  parking_.Park(*b_.connection, WaitsFor::kNews);
  parking_.Park(*c_.connection, WaitsFor::kRoom);
  EXPECT_THAT(parking_.TakeAll(),
              ElementsAre(c_.connection.get(), b_.connection.get(),
                          a_.connection.get()));
  EXPECT_FALSE(parking_.delays_stop());
  EXPECT_TRUE(a_.connection->MayExecute());
  EXPECT_EQ(rig_.service().stats.parked, 0u);
}

}  // namespace
}  // namespace kvd
