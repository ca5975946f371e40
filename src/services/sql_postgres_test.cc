// SQL in a real PostgreSQL: values, isolation of plugins, limits, a database that goes and returns.
#include "services/sql_postgres.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/blocking_pool.h"
#include "services/postgres_test_server.h"
#include "services/sql_json.h"
#include "services/sql_placeholders.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

using std::chrono::milliseconds;

class PostgresTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server = new PostgresTestServer; }
  static void TearDownTestSuite() { delete std::exchange(server, nullptr); }
  void SetUp() override { ASSERT_TRUE(server->ready()) << "apt-get install postgresql"; }
  // Patient, as the machine may be busy.
  void make(SqlLimits limits = {.timeout = milliseconds(20'000)}) {
    sql_ = make_postgres_sql(
        {.roles = {.url = url_, .secret = "s3cret", .plugin_urls = {}}, .limits = limits}, pool_);
  }
  Result<SqlResult> run(std::string statement, std::vector<SqlValue> parameters = {},
                        std::string plugin = "notes", SqlAccess access = SqlAccess::kWrite) {
    if (!sql_) make();
    return worker_.wait_for<SqlResult>([&](net::Worker& worker, Sql::Callback done) {
      return sql_->run(worker,
                       {.plugin = std::move(plugin),
                        .access = access,
                        .statement = std::move(statement),
                        .parameters = std::move(parameters),
                        .timeout = timeout_},
                       std::move(done));
    });
  }
  ErrorKind refused(const std::string& statement, std::vector<SqlValue> parameters = {},
                    std::string plugin = "notes", SqlAccess access = SqlAccess::kWrite) {
    auto out = run(statement, std::move(parameters), std::move(plugin), access);
    EXPECT_FALSE(out.has_value()) << statement;
    message_ = out ? "" : out.error().message;
    return out ? ErrorKind::kInternal : out.error().kind;
  }
  void fresh(const std::string& table) {
    ASSERT_TRUE(run("DROP TABLE IF EXISTS " + table));
    ASSERT_TRUE(run("CREATE TABLE " + table + " (id INT PRIMARY KEY, name TEXT)"));
  }

  static PostgresTestServer* server;
  milliseconds timeout_{0};
  std::string url_ = server->url();
  TestWorker worker_;
  std::unique_ptr<Sql> sql_;
  std::string message_;
  net::BlockingPool pool_{4};
};
PostgresTestServer* PostgresTest::server = nullptr;

TEST_F(PostgresTest, ValuesOfEveryType) {
  const auto rows = run(
      "SELECT ?::int8 AS i, ?::float8 AS f, ?::text AS t, ?::bytea AS b, ?::jsonb AS j, ?::bool AS "
      "yes, ?::int AS nothing, 1.50::numeric AS n, DATE '2026-01-02' AS d, 'NaN'::float8 AS nan",
      {std::int64_t{1} << 62, 1.5, std::string("it's; --"), SqlBlob{std::string("\0\xff", 2)},
       SqlJson{R"({"a":[1]})"}, true, std::monostate{}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(sql_rows_json(*rows),
            R"({"rows":[{"i":4611686018427387904,"f":1.5,"t":"it's; --","b":"AP8=","j":{"a": [1]},)"
            R"("yes":true,"nothing":null,"n":"1.50","d":"2026-01-02","nan":null}],"error":null})");
  fresh("t");
  EXPECT_EQ(run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")->affected, 2);
  EXPECT_EQ(run("UPDATE t SET name = $2 WHERE id > $1", {std::int64_t{0}, "c"})->affected, 2);
  const auto returned = run("DELETE FROM t WHERE id = ? RETURNING name", {std::int64_t{1}});
  EXPECT_EQ(returned->affected, 1);
  EXPECT_EQ(returned->rows[0][0], SqlValue("c"));
}

TEST_F(PostgresTest, ParametersNeverBecomeStatements) {
  fresh("t");
  ASSERT_TRUE(run("INSERT INTO t VALUES (1, ?)", {std::string("x'); DROP TABLE t; --")}));
  EXPECT_EQ(run("SELECT * FROM t WHERE name = ?", {std::string("' OR 1=1 --")})->rows.size(), 0U);
  EXPECT_EQ(run("SELECT * FROM t")->rows.size(), 1U);
  EXPECT_EQ(refused("SELECT 1; DROP TABLE t"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(run("SELECT * FROM t")->rows.size(), 1U);
}

TEST_F(PostgresTest, WrongCalls) {
  EXPECT_EQ(refused("SELEC 1"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused(""), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused("SELECT ?::int"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused("SELECT ?::int", {std::string("x")}), ErrorKind::kInvalidArgument);
  fresh("t");
  ASSERT_TRUE(run("INSERT INTO t VALUES (1, 'a')"));
  EXPECT_EQ(refused("INSERT INTO t VALUES (1, 'a')"), ErrorKind::kConflict);
  EXPECT_EQ(refused("COPY t TO STDOUT"), ErrorKind::kPermission);
  EXPECT_EQ(refused("COPY t FROM STDIN"), ErrorKind::kPermission);
  EXPECT_EQ(refused("BEGIN"), ErrorKind::kPermission);
  EXPECT_TRUE(run("SELECT 1"));
}

TEST_F(PostgresTest, NoPluginReachesAnother) {
  ASSERT_TRUE(run("DROP TABLE IF EXISTS secrets", {}, "one"));
  ASSERT_TRUE(run("CREATE TABLE secrets (x TEXT)", {}, "one"));
  ASSERT_TRUE(run("INSERT INTO secrets VALUES ('mine')", {}, "one"));
  const std::string role = PostgresRoles::role_of("one");
  for (const std::string& statement :
       {"SELECT * FROM " + role + ".secrets", "SET ROLE " + role, std::string("SET ROLE admin"),
        std::string("SET SESSION AUTHORIZATION admin"), "GRANT " + role + " TO heddle_plugin_two",
        "DROP SCHEMA " + role + " CASCADE", "CREATE TABLE " + role + ".x (a INT)",
        std::string("CREATE ROLE x SUPERUSER"), std::string("CREATE DATABASE x"),
        std::string("ALTER ROLE heddle_plugin_two SUPERUSER"),
        std::string("COPY (SELECT 1) TO '/tmp/heddle-x'"),
        std::string("COPY (SELECT 1) TO PROGRAM 'id'"),
        std::string("SELECT pg_read_file('PG_VERSION')"), std::string("SELECT * FROM pg_authid"),
        "DO $$ BEGIN EXECUTE 'SET ROLE " + role + "'; END $$"}) {
    EXPECT_EQ(refused(statement, {}, "two"), ErrorKind::kPermission) << statement << message_;
  }
  // RESET ROLE leads to no stronger user: the session is the plugin's own from its beginning.
  ASSERT_TRUE(run("RESET ROLE", {}, "two"));
  EXPECT_EQ(run("SELECT session_user::text", {}, "two")->rows[0][0], SqlValue("heddle_plugin_two"));
  EXPECT_EQ(refused("SELECT * FROM secrets", {}, "two"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(run("SELECT x FROM secrets", {}, "one")->rows[0][0], SqlValue("mine"));
}

TEST_F(PostgresTest, NamesOfPluginsAreQuoted) {
  const std::string odd = R"(a"; DROP SCHEMA public; -- $user\ b)";
  EXPECT_EQ(run("SELECT current_schema()::text", {}, odd)->rows[0][0],
            SqlValue("heddle_plugin_" + odd));
  const std::string longest(100, 'n');
  EXPECT_EQ(run("SELECT current_schema()::text", {}, longest)->rows[0][0],
            SqlValue(PostgresRoles::role_of(longest)));
}

TEST_F(PostgresTest, ReadersDoNotWrite) {
  fresh("t");
  const auto read = SqlAccess::kRead;
  EXPECT_TRUE(run("SELECT * FROM t", {}, "notes", read));
  for (const char* statement :
       {"INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE u (x INT)",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END $$",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM x"}) {
    EXPECT_FALSE(run(statement, {}, "notes", read)) << statement;
  }
  EXPECT_EQ(refused("DELETE FROM t", {}, "notes", read), ErrorKind::kPermission) << message_;
  for (const char* statement :
       {"COMMIT", "SET TRANSACTION READ WRITE", "SET default_transaction_read_only = off",
        "SELECT set_config('default_transaction_read_only', 'off', false)"}) {
    (void)run(statement, {}, "notes", read);
    EXPECT_FALSE(run("INSERT INTO t VALUES (1)", {}, "notes", read)) << statement;
  }
  EXPECT_EQ(run("SELECT * FROM t")->rows.size(), 0U);
}

TEST_F(PostgresTest, TenMillionRowsNeverSitInMemory) {
  make({.timeout = milliseconds(60'000)});  // the server counts them all before it sends the first
  EXPECT_EQ(refused("SELECT i, repeat('x', 100) FROM generate_series(1, 10000000) AS i"),
            ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_rows"), std::string::npos);
  EXPECT_EQ(refused("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"), ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_bytes"), std::string::npos);
  // One value that is larger than everything.
  EXPECT_EQ(refused("SELECT repeat(repeat('x', 1000), 100000)"), ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_bytes"), std::string::npos) << message_;
  EXPECT_EQ(run("SELECT * FROM generate_series(1, 10000)")->rows.size(), 10'000U);
}

TEST_F(PostgresTest, AChangeWhoseRowsAreTooManyIsUndone) {
  make({.timeout = milliseconds(20'000), .max_rows = 10, .max_bytes = 10'000});
  fresh("t");
  const std::string insert = "INSERT INTO t SELECT i, 'a' FROM generate_series(1, ?::int) AS i ";
  EXPECT_EQ(run(insert + "RETURNING id", {std::int64_t{10}})->affected, 10);
  EXPECT_EQ(refused("INSERT INTO t SELECT i FROM generate_series(11, 40) AS i Returning id"),
            ErrorKind::kLimit);
  EXPECT_EQ(refused("UPDATE t SET name = 'b' RETURNING repeat('x', 5000)"), ErrorKind::kLimit);
  EXPECT_EQ(refused("WITH gone AS (DELETE FROM t) SELECT generate_series(1, 11)"),
            ErrorKind::kLimit);
  EXPECT_EQ(run("SELECT count(*) FROM t WHERE name = 'a'")->rows[0][0], SqlValue(std::int64_t{10}));
  EXPECT_EQ(run("DELETE FROM t RETURNING id")->affected, 10);
  // What fails only at the commit is told too.
  ASSERT_TRUE(run("ALTER TABLE t ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"));
  EXPECT_EQ(refused("INSERT INTO t VALUES (1, 'a'), (2, 'a') RETURNING id"), ErrorKind::kConflict);
  EXPECT_TRUE(run("SELECT 1"));
}

TEST_F(PostgresTest, NoStatementLeavesTracesForTheNext) {
  const auto first = run("SELECT pg_backend_pid()");
  EXPECT_EQ(run("SELECT pg_backend_pid() AS temp")->rows, first->rows) << "it is used again";
  for (const char* statement :
       {"SELECT set_config('search_path', 'pg_catalog', false)", "SELECT pg_advisory_lock(1)",
        "select PG_TRY_ADVISORY_LOCK_SHARED(1)", "CREATE TEMP TABLE left_here (x INT)",
        "CREATE TABLE pg_temp.left_here (x INT)", "SELECT 1 AS x INTO TEMPORARY left_here"}) {
    for (const SqlAccess access : {SqlAccess::kWrite, SqlAccess::kRead}) {
      (void)run(statement, {}, "notes", access);
      EXPECT_EQ(run("SELECT current_schema()::text, to_regclass('left_here')::text, (SELECT "
                    "count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = "
                    "pg_backend_pid())")
                    ->rows[0],
                (std::vector<SqlValue>{"heddle_plugin_notes", {}, std::int64_t{0}}))
          << statement;
    }
  }
}

TEST_F(PostgresTest, SlowStatementsAndCallersThatGo) {
  ASSERT_TRUE(run("SELECT 1"));
  timeout_ = milliseconds(300);
  EXPECT_EQ(refused("SELECT pg_sleep(20)"), ErrorKind::kTimeout);
  timeout_ = milliseconds(0);
  bool called = false;
  Pending pending;
  ASSERT_TRUE(run("SELECT 1"));
  worker_.on_worker([&] {
    pending = sql_->run(
        worker_.worker,
        {.plugin = "notes", .access = SqlAccess::kWrite, .statement = "SELECT pg_sleep(15)"},
        [&](const auto&) { called = true; });
  });
  worker_.on_worker([&] { pending.reset(); });
  // The server stops too, when the cancel request has reached it.
  const Nanoseconds start = monotonic_now();
  while (
      run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = "
          "'active'")
              ->rows[0][0] != SqlValue(std::int64_t{0}) &&
      monotonic_now() - start < 10'000'000'000) {
  }
  EXPECT_LT(monotonic_now() - start, 10'000'000'000);
  EXPECT_FALSE(called);
}

TEST_F(PostgresTest, ManyCallsShareFewConnections) {
  constexpr int kCalls = 500;
  std::atomic<int> done = 0;
  std::atomic<int> failed = 0;
  std::vector<Pending> pending;
  make();
  worker_.on_worker([&] {
    for (int i = 0; i < kCalls; ++i) {
      pending.push_back(sql_->run(worker_.worker,
                                  {.plugin = "notes",
                                   .access = SqlAccess::kWrite,
                                   .statement = "SELECT ?::int + 1",
                                   .parameters = {std::int64_t{i}}},
                                  [&, i](const Result<SqlResult>& result) {
                                    if (!result ||
                                        result->rows[0][0] != SqlValue(std::int64_t{i + 1}))
                                      ++failed;
                                    ++done;
                                  }));
    }
  });
  const Nanoseconds start = monotonic_now();
  while (done < kCalls && monotonic_now() - start < 30'000'000'000) std::this_thread::yield();
  EXPECT_EQ(done, kCalls);
  EXPECT_EQ(failed, 0);
  const auto open = run("SELECT count(*) FROM pg_stat_activity WHERE usename = session_user");
  EXPECT_LE(std::get<std::int64_t>(open->rows[0][0]), 4);
  worker_.on_worker([&] { pending.clear(); });
}

TEST_F(PostgresTest, ADatabaseThatGoesAndReturns) {
  ASSERT_TRUE(run("SELECT 1"));
  ASSERT_TRUE(server->stop());
  const Nanoseconds gone = monotonic_now();
  EXPECT_EQ(refused("SELECT 1"), ErrorKind::kUnavailable);
  EXPECT_EQ(refused("SELECT 1"), ErrorKind::kUnavailable);
  EXPECT_LT(monotonic_now() - gone, 2'000'000'000);
  ASSERT_TRUE(server->start());
  const Nanoseconds start = monotonic_now();
  while (!run("SELECT 1") && monotonic_now() - start < 10'000'000'000) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_LT(monotonic_now() - start, 5'000'000'000);
}

TEST_F(PostgresTest, AUserWithoutTheRightToMakeRoles) {
  (void)run("SELECT 1");  // makes the role, which is the weak user here
  PostgresRoles roles({.url = url_, .secret = "s3cret", .plugin_urls = {}});
  PostgresHandle admin(PQconnectdb(url_.c_str()));
  PQclear(PQexec(admin.get(), "CREATE ROLE weak LOGIN PASSWORD 'w'"));
  url_ = server->url("weak", "w");
  make();
  EXPECT_EQ(refused("SELECT 1"), ErrorKind::kPermission);
  EXPECT_NE(message_.find("may not create roles"), std::string::npos) << message_;
  sql_ = make_postgres_sql(
      {.roles = {.url = url_, .secret = "s", .plugin_urls = {{"notes", server->url("weak", "w")}}},
       .limits = {.timeout = milliseconds(20'000)}},
      pool_);
  EXPECT_EQ(run("SELECT session_user::text")->rows[0][0], SqlValue("weak"));
  url_ = server->url("creator", "c");
  PQclear(PQexec(admin.get(), "CREATE ROLE creator LOGIN CREATEROLE PASSWORD 'c'"));
  PQclear(PQexec(admin.get(), "GRANT CREATE ON DATABASE postgres TO creator"));
  make();
  EXPECT_EQ(run("SELECT session_user::text", {}, "made")->rows[0][0],
            SqlValue("heddle_plugin_made"));
  PQclear(PQexec(admin.get(), "CREATE ROLE heddle_plugin_strong LOGIN SUPERUSER"));
  EXPECT_EQ(refused("SELECT 1", {}, "strong"), ErrorKind::kPermission);
}

TEST(SqlPlaceholders, AreNumbered) {
  EXPECT_EQ(numbered_placeholders("a = ? AND b = ?"), "a = $1 AND b = $2");
  EXPECT_EQ(numbered_placeholders("'?''?' || \"?\" || ?"), "'?''?' || \"?\" || $1");
  EXPECT_EQ(numbered_placeholders("-- ?\n? /* ? /* ? */ ? */ ?"), "-- ?\n$1 /* ? /* ? */ ? */ $2");
  EXPECT_EQ(numbered_placeholders("$$ ? $$ ? $a$ ? $$ $a$ ?"), "$$ ? $$ $1 $a$ ? $$ $a$ $2");
  EXPECT_EQ(numbered_placeholders(R"(E'\'?' ? '\' ?)"), R"(E'\'?' $1 '\' $2)");
  EXPECT_EQ(numbered_placeholders("j ? 'a' AND x = $1"), "j ? 'a' AND x = $1");
  EXPECT_EQ(numbered_placeholders("'? unfinished"), "'? unfinished");
  EXPECT_EQ(numbered_placeholders(""), "");
}

}  // namespace
}  // namespace heddle::services
