// SPDX-License-Identifier: MIT
//
// The table that the fake etcd goes through, on a real node and through the
// client.
#include <gtest/gtest.h>

#include <memory>

#include "tests/etcd/nodes.h"
#include "tests/etcd/semantics_run.h"
#include "tests/etcd/test_client.h"

namespace kvd::etcd {
namespace {

class Semantics : public ::testing::TestWithParam<semantics::Case> {
 protected:
  static void SetUpTestSuite() {
    if (HaveEtcd()) nodes_ = std::make_unique<Nodes>(Nodes::Options{});
  }
  static void TearDownTestSuite() { nodes_.reset(); }

  static std::unique_ptr<Nodes> nodes_;
};

std::unique_ptr<Nodes> Semantics::nodes_;

TEST_P(Semantics, OfARealNode) {
  if (!HaveEtcd()) GTEST_SKIP() << "no etcd here";
  TestClient client(nodes_->endpoints());
  semantics::Run run(
      client.api(), [&](const auto& done) { return client.Await(done); },
      "real/");
  run(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Etcd, Semantics,
                         ::testing::ValuesIn(semantics::AllCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kvd::etcd
