SET NOCOUNT ON;
DECLARE @rc int;
EXEC @rc = sp_getapplock @Resource = ?, @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 10000;
SET NOCOUNT OFF;
IF @rc < 0 THROW 51000, 'applock', 1;

SELECT [USR_CF_CURSOR].[VER]
FROM [USR_CF_CURSOR]
WHERE [USR_CF_CURSOR].[TBL] = ?

UPDATE [USR_CF_CURSOR] SET [VER]=?, [AT_UTC]=SYSUTCDATETIME() WHERE [USR_CF_CURSOR].[TBL] = ?
