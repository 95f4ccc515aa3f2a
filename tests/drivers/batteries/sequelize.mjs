// Sequelize over mysql2: one program, run direct and through the proxy; what it prints must be the same.

import { CONNECTS, CYCLES, login, require, section, show } from "./battery.mjs";

const { DataTypes, Op, QueryTypes, Sequelize, Transaction } = require("sequelize");
const SCHEMA = "drivers_sequelize";
const open = (changes = {}) => new Sequelize(SCHEMA, login.user, login.password, {
  host: login.host, port: login.port, dialect: "mysql", logging: false, timezone: "+00:00", pool: { max: 3, idle: 1000 }, ...changes,
});
const attempt = async (name, action) => {
  try {
    show(name, await action());
  } catch (error) {
    const original = error.original ?? {};
    show(name, [error.name, error.message.replaceAll(String(login.port), "PORT"), original.errno, original.sqlState]);
  }
};

const root = new Sequelize("", login.user, login.password, { host: login.host, port: login.port, dialect: "mysql", logging: false });
await root.query(`DROP DATABASE IF EXISTS ${SCHEMA}`);
await root.query(`CREATE DATABASE ${SCHEMA} CHARACTER SET utf8mb4`);

await section("connect");
for (let n = 0; n < CONNECTS; n++) {
  const one = open();
  await one.authenticate();
  await one.close();
}

await section("types");
const db = open();
const Owner = db.define("owner", { name: { type: DataTypes.STRING(50), unique: "owner_name" } }, { timestamps: false });
const Animal = db.define("animal", {
  name: DataTypes.STRING(50), weight: DataTypes.DECIMAL(12, 3), born: DataTypes.DATE(6), day: DataTypes.DATEONLY, photo: DataTypes.BLOB,
  big: DataTypes.BIGINT, ratio: DataTypes.DOUBLE, wild: DataTypes.BOOLEAN, notes: DataTypes.JSON, kind: DataTypes.ENUM("a", "b"), at: DataTypes.TIME,
}, { timestamps: false, version: true });
Owner.hasMany(Animal);
Animal.belongsTo(Owner);
await db.sync({ force: true });
show("version", (await db.databaseVersion()).split("-")[0]);
const values = {
  name: "zebra 🦓 ü", weight: "312.500", born: new Date(Date.UTC(2020, 1, 29, 1, 2, 3, 456)), day: "1999-12-31", photo: Buffer.from([0, 1, 255, 39, 92]),
  big: "9007199254740993", ratio: 1.5e-300, wild: true, notes: { a: [1, null, "ü"] }, kind: "b", at: "11:22:33",
};
await attempt("created", () => Owner.create({ name: "zoo ü", animals: [values] }, { include: Animal }));
await attempt("nulls", () => Animal.create({}));
await attempt("bulk", () => Animal.bulkCreate(Array.from({ length: 20 }, (_, n) => ({ name: `n${n}`, ratio: n, ownerId: 1 }))));
await attempt("rows", () => Animal.findAll({ where: { id: { [Op.lt]: 4 } }, order: ["id"] }));
await attempt("joined", () => Owner.findAll({ include: { model: Animal, where: { wild: true } } }));
await attempt("count", () => Animal.findAndCountAll({ where: { name: { [Op.like]: "n1%" } }, limit: 2, order: ["id"] }));
await attempt("sum", () => Animal.sum("ratio"));
await attempt("update", () => Animal.update({ wild: false }, { where: { id: { [Op.gt]: 5 } } }));
await attempt("same", () => Animal.update({ wild: false }, { where: { id: { [Op.gt]: 5 } } }));
await attempt("upsert", () => Owner.upsert({ id: 1, name: "zoo 2" }));
await attempt("found or created", async () => (await Owner.findOrCreate({ where: { name: "b" } }))[1]);
await attempt("incremented", () => Animal.increment("ratio", { by: 2, where: { id: 3 } }));
await attempt("destroyed", () => Animal.destroy({ where: { id: { [Op.gt]: 18 } } }));
await attempt("described", () => db.getQueryInterface().describeTable("animals"));
await attempt("indexes", () => db.getQueryInterface().showIndex("animals"));
await attempt("added", async () => { await db.getQueryInterface().addColumn("animals", "legs", { type: DataTypes.INTEGER, defaultValue: 4 }); return db.query("SELECT legs FROM animals WHERE id = 1"); });

await section("prepared");
for (const id of [1, 2, 90]) await attempt("bound", () => db.query("SELECT id, name FROM animals WHERE id = $id", { bind: { id }, type: QueryTypes.SELECT }));

await section("transactions");
await attempt("managed", () => db.transaction(async (transaction) => {
  await Owner.create({ name: "kept" }, { transaction });
  await db.transaction({ transaction }, async (inner) => { await Owner.create({ name: "lost" }, { transaction: inner }); throw new Error("inner"); }).catch(() => 0);
  return Animal.findAll({ where: { id: 1 }, attributes: ["id"], lock: transaction.LOCK.UPDATE, skipLocked: true, transaction });
}));
await attempt("rolled back", () => db.transaction(async (transaction) => { await Owner.destroy({ where: {}, transaction }); throw new Error("back"); }));
for (const isolationLevel of Object.values(Transaction.ISOLATION_LEVELS)) {
  await attempt(isolationLevel, () => db.transaction({ isolationLevel }, (transaction) => Owner.count({ transaction })));
}
await attempt("names", () => Owner.findAll({ attributes: ["name"], order: ["name"], raw: true }));

await section("diagnostics");
await attempt("unique", () => Owner.create({ name: "b" }));
await attempt("foreign key", () => Animal.create({ ownerId: 9999 }));
for (const sql of ["SELEC 1", "SELECT * FROM missing", "SELECT nope FROM owners", "SELECT CAST('12x' AS SIGNED) n"]) await attempt(sql, () => db.query(sql));

await section("login");
await attempt("unknown schema", () => new Sequelize("drivers_missing", login.user, login.password, { ...login, dialect: "mysql", logging: false }).authenticate());
await attempt("wrong password", () => new Sequelize(SCHEMA, login.user, "wrong", { ...login, password: "wrong", dialect: "mysql", logging: false }).authenticate());
await attempt("time zone", async () => { const one = open({ timezone: "+02:00" }); const rows = await one.query("SELECT @@time_zone z"); await one.close(); return rows; });
await attempt("many", () => Promise.all(Array.from({ length: 40 }, (_, n) => db.query(`SELECT ${n} n`, { type: QueryTypes.SELECT }))));

await section("request cycle");
for (let n = 0; n < CYCLES; n++) {
  await Animal.findByPk(n);
  await db.transaction((transaction) => Owner.create({ name: `cycle ${n}` }, { transaction }));
}
await section("end");
await root.query(`DROP DATABASE ${SCHEMA}`);
await db.close();
await root.close();
