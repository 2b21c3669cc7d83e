// SPDX-License-Identifier: MIT
//
// The client beside a node that serves https and wants a client certificate.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "base/check.h"
#include "fmt/format.h"
#include "tests/etcd/nodes.h"
#include "tests/etcd/test_client.h"
#include "tests/support/temp_dir.h"

namespace kvd::etcd {
namespace {

// A CA and what it signs, made by openssl.
class Authority {
 public:
  Authority(const TempDir& dir, const std::string& name) : ca_(dir.Path(name)) {
    Run(
        fmt::format("openssl req -x509 -newkey ec -pkeyopt "
                    "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca "
                    "-keyout {0}.key -out {0}.crt",
                    ca_));
  }

  const std::string ca() const { return ca_ + ".crt"; }

  // Signs a certificate for `address`; its files are NAME.crt and NAME.key.
  std::string Sign(const std::string& name, const std::string& address) const {
    const std::string path = ca_ + "-" + name;
    std::ofstream(path + ".ext") << "subjectAltName=" << address << "\n";
    Run(
        fmt::format("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                    "-nodes -subj /CN={1} -keyout {0}.key -out {0}.csr",
                    path, name));
    Run(
        fmt::format("openssl x509 -req -in {0}.csr -CA {1}.crt -CAkey {1}.key "
                    "-set_serial 1 -days 2 -extfile {0}.ext -out {0}.crt",
                    path, ca_));
    return path;
  }

 private:
  static void Run(const std::string& command) {
    const std::string quiet = command + " >/dev/null 2>&1 </dev/null";
    KVD_CHECK(std::system(quiet.c_str()) == 0);
  }

  const std::string ca_;
};

bool HaveOpenssl() { return std::system("command -v openssl >/dev/null") == 0; }

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HaveEtcd() || !HaveOpenssl())
      GTEST_SKIP() << "no etcd or openssl here";
    ours_ = std::make_unique<Authority>(dir_, "ours");
    other_ = std::make_unique<Authority>(dir_, "other");
    kvd_ = ours_->Sign("kvd", "DNS:kvd");
    Serve("IP:127.0.0.1");
  }

  void Serve(const std::string& name) {
    const std::string node = ours_->Sign("node", name);
    nodes_ = std::make_unique<Nodes>(Nodes::Options{
        .arguments = {"--client-cert-auth", "--trusted-ca-file=" + ours_->ca(),
                      "--cert-file=" + node + ".crt",
                      "--key-file=" + node + ".key"},
        .tls = true});
  }

  CertificateFiles Good() const {
    return {.ca = ours_->ca(), .cert = kvd_ + ".crt", .key = kvd_ + ".key"};
  }
  // What people are told, once the node is there: it may still be starting.
  void ExpectTrouble(const std::string& endpoint, const CertificateFiles& files,
                     const std::string& words) {
    TestClient client({endpoint}, files);
    std::string told;
    for (int attempt = 0; attempt < 30; ++attempt) {
      const Result<RangeResponse> result =
          client.Range({.key = "k", .range_end = ""}, 1000);
      told = result.ok() ? "" : result.error().message();
      if (told.find(words) != std::string::npos) return;
    }
    ADD_FAILURE() << "not told of \"" << words << "\": " << told;
  }
  void ExpectTrouble(const CertificateFiles& files, const std::string& words) {
    ExpectTrouble(nodes_->endpoint(0), files, words);
  }

  TempDir dir_;
  std::unique_ptr<Authority> ours_;
  std::unique_ptr<Authority> other_;
  std::string kvd_;
  std::unique_ptr<Nodes> nodes_;
};

TEST_F(TlsTest, WorksWithTheRightCertificates) {
  TestClient client(nodes_->endpoints(), Good());
  const int64_t put = client.PutOne("k", "v");
  EXPECT_GT(put, 0);
  WatchLog log(client, "k", put);
  EXPECT_TRUE(client.Await([&] { return log.events() == 1; }));
}

TEST_F(TlsTest, RefusalsSayWhatIsWrong) {
  // The node is up.
  {
    TestClient client(nodes_->endpoints(), Good());
    ASSERT_GT(client.PutOne("k", "v"), 0);
  }
  CertificateFiles files = Good();
  files.ca = other_->ca();
  ExpectTrouble(files, "not signed by the CA");

  ExpectTrouble({.ca = ours_->ca()}, "client certificate");

  const std::string stranger = other_->Sign("stranger", "DNS:kvd");
  files = Good();
  files.cert = stranger + ".crt";
  files.key = stranger + ".key";
  ExpectTrouble(files, "client certificate");

  files.key = kvd_ + ".key";
  ExpectTrouble(files, "belong together");

  const std::string plain = "http" + nodes_->endpoint(0).substr(5);
  ExpectTrouble(plain, {}, "https://");
}

TEST_F(TlsTest, ACertificateForAnotherNameIsRefused) {
  Serve("IP:127.0.0.2");
  ExpectTrouble(Good(), "for other names");
}

TEST_F(TlsTest, APlainNodeIsToldFromOneWithTls) {
  Nodes plain({});
  {
    TestClient client(plain.endpoints());
    ASSERT_GT(client.PutOne("k", "v"), 0);
  }
  const std::string https = "https" + plain.endpoint(0).substr(4);
  ExpectTrouble(https, Good(), "use http://");
}

}  // namespace
}  // namespace kvd::etcd
