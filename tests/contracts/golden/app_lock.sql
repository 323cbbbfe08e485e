SET NOCOUNT ON;
DECLARE @rc int;
EXEC @rc = sp_getapplock @Resource = ?, @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 10000;
SET NOCOUNT OFF;
IF @rc < 0 THROW 51000, 'applock', 1;
