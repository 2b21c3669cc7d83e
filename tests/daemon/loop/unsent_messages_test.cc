// SPDX-License-Identifier: MIT
#include "daemon/loop/unsent_messages.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace kvd {
namespace {

TEST(UnsentMessages, CountsWhatIsLeftOfMessagesAlone) {
  UnsentMessages messages;
  EXPECT_EQ(messages.Bytes(0), 0u);
  messages.Add(10, 30);
  messages.Add(30, 40);    // In a row.
  messages.Add(100, 110);  // Behind a reply.
  EXPECT_EQ(messages.Bytes(0), 40u);
  EXPECT_EQ(messages.Bytes(10), 40u);
  EXPECT_EQ(messages.Bytes(25), 25u);
  EXPECT_EQ(messages.Bytes(40), 10u);
  EXPECT_EQ(messages.Bytes(90), 10u);
  EXPECT_EQ(messages.Bytes(105), 5u);
  EXPECT_EQ(messages.Bytes(200), 0u);
}

// Beside a list of all bytes.
TEST(UnsentMessages, AgreesWithAPlainCount) {
  std::mt19937 random(7);
  UnsentMessages messages;
  std::vector<bool> is_message;
  uint64_t sent = 0;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t size = 1 + random() % 5;
    const uint64_t begin = is_message.size();
    const bool message = random() % 3 > 0;
    is_message.insert(is_message.end(), size, message);
    if (message) messages.Add(begin, begin + size);
    if (random() % 2 == 0) sent += random() % (is_message.size() - sent + 1);
    uint64_t left = 0;
    for (uint64_t at = sent; at < is_message.size(); ++at) {
      left += is_message[at] ? 1 : 0;
    }
    ASSERT_EQ(messages.Bytes(sent), left) << i;
  }
}

}  // namespace
}  // namespace kvd
